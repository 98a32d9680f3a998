"""Slices of volumes (NIfTI) as ordinary images, written once as PNG files."""

import hashlib
import importlib.util
import json
import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
from PIL import Image

from hueprobe.datasets.schema import Plane, Slices
from hueprobe.errors import ImageError, MissingDependencyError
from hueprobe.files import written_whole
from hueprobe.images.limits import PIXELS, max_pixels

# The axis that a plane's slices are stacked along, in a volume turned to right, anterior, superior.
_AXIS = {"axial": 2, "coronal": 1, "sagittal": 0}
assert set(_AXIS) == set(get_args(Plane))
_MOST_STRETCH = 100  # of the longest side of a voxel to the shortest
_MOST_PIXELS_A_VOLUME = 8  # times those of an image: 0.7 billion voxels


def slice_folder(slices: Slices) -> str:
    """Return the folder of the images that these settings give, named after them.

    Other settings give another folder, so images of two settings never mix.
    """
    said = {  # these words are in the names of folders
        "count": slices.count,
        "plane": slices.plane,
        "spacing": float(slices.spacing),
        "window": list(map(float, slices.window)),
        "window_is_percentile": slices.window_is == "percentile",
    }
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:10]
    return f"slices-{slices.plane}-{slices.spacing:g}mm-{digest}"


def slice_names(volume: str, slices: Slices) -> list[str]:
    """Return the images' paths, relative to the slices' folder, of one volume.

    >>> window = dict(window=(1.0, 99.0), window_is="percentile")
    >>> slice_names("100307/T1w/brain.nii.gz", Slices(plane="axial", spacing=10.0, count=2, **window))
    ['100307/T1w/brain/axial_0.png', '100307/T1w/brain/axial_1.png']
    """
    stem = volume.removesuffix(".gz").removesuffix(".nii")
    width = len(str(slices.count - 1))
    return [f"{stem}/{slices.plane}_{i:0{width}d}.png" for i in range(slices.count)]


def write_slices(volume: Path, slices: Slices, images: list[Path]) -> None:
    """Write the slices of one volume as 8-bit gray PNG files; those that are there are written again.

    Parameters
    ----------
    volume : Path
        A NIfTI file of three axes, `.nii` or `.nii.gz`.
    slices : Slices
    images : list of Path
        One a slice, from the inferior, posterior or left end on.

    Raises
    ------
    MissingDependencyError
        nibabel is not installed.
    ImageError
        The volume cannot be read, is not of three axes, or is thinner than the slices need.
    """
    for path, pixels in zip(images, read_slices(volume, slices), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as file:
            Image.fromarray(pixels).save(file, "PNG")


def read_slices(volume: Path, slices: Slices) -> list[np.ndarray]:
    """Return the slices of one volume as uint8 arrays (rows, columns) of square pixels.

    The volume is turned to its nearest right-anterior-superior axes. Slices lie `spacing` mm apart, centered
    on the middle of the volume, each the nearest voxel plane. Superior (of axial slices: anterior) is up; the
    subject's left is on the image's left, of sagittal slices anterior is on the right. Where voxels are not
    square in the plane the coarser side is stretched to the finer one, linearly.
    """
    nibabel = _nibabel()
    try:
        image = nibabel.as_closest_canonical(nibabel.load(volume))
        if len(image.shape) != 3:
            raise ImageError(f"{str(volume)!r} has {len(image.shape)} axes; a volume has 3")
        _require_credible(volume, image.shape)
        values = np.asarray(image.dataobj, dtype=np.float32)  # (right, anterior, superior)
        zooms = [float(zoom) for zoom in image.header.get_zooms()[:3]]
    except ImageError:
        raise
    except Exception as error:  # nibabel and zlib raise anything on damaged files
        raise ImageError(
            f"cannot read volume {str(volume)!r}: {' '.join(str(error).split())[:200]}"
        ) from None
    if not all(math.isfinite(zoom) and zoom > 0 for zoom in zooms) or max(zooms) > _MOST_STRETCH * min(zooms):
        raise ImageError(f"{str(volume)!r} has voxels of {zooms} mm; no scanner gives such")
    axis = _AXIS[slices.plane]
    offsets = (np.arange(slices.count) - (slices.count - 1) / 2) * slices.spacing / zooms[axis]
    places = np.rint((values.shape[axis] - 1) / 2 + offsets).astype(int)
    if places[0] < 0 or places[-1] >= values.shape[axis]:
        raise ImageError(
            f"{str(volume)!r} is {values.shape[axis] * zooms[axis]:g} mm deep, but {slices.count} "
            f"{slices.plane} slices {slices.spacing:g} mm apart need "
            f"{(slices.count - 1) * slices.spacing:g} mm; ask for fewer or closer ones"
        )
    low, high = _window(values, slices, volume)
    in_plane = [zoom for i, zoom in enumerate(zooms) if i != axis]  # (columns, rows) of the image
    return [_image(values.take(place, axis=axis), in_plane, low, high) for place in places]


def _require_credible(volume: Path, shape: tuple[int, ...]) -> None:
    """Refuse a volume whose header asks for more than the disk or any scanner gave."""
    pixels = max_pixels()
    if pixels is not None and math.prod(shape) > pixels * _MOST_PIXELS_A_VOLUME:
        raise ImageError(
            f"{str(volume)!r} says it has {' x '.join(map(str, shape))} voxels; where you trust it, set "
            f"{PIXELS} to more"
        )


def _window(values: np.ndarray, slices: Slices, volume: Path) -> tuple[float, float]:
    low, high = slices.window
    if slices.window_is == "percentile":
        inside = values[values != 0]
        if not inside.size:
            raise ImageError(f"{str(volume)!r} is 0 everywhere; no slice of it shows anything")
        low, high = (float(end) for end in np.percentile(inside, [low, high]))
    if not np.isfinite(values).all():
        raise ImageError(f"{str(volume)!r} has voxels that are NaN or infinite")
    return low, high


def _image(plane: np.ndarray, zooms: list[float], low: float, high: float) -> np.ndarray:
    """Return a plane (columns to the right, rows upwards) as an image (rows downwards, columns)."""
    scaled = np.clip((plane - low) / max(high - low, 1e-12), 0, 1)
    pixels = np.rint(np.nan_to_num(scaled) * 255).astype(np.uint8).T[::-1]
    width, height = (round(n * zoom / min(zooms)) for n, zoom in zip(plane.shape, zooms, strict=True))
    if (height, width) == pixels.shape:
        return np.ascontiguousarray(pixels)
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def _nibabel() -> Any:  # a module that may not be installed
    if importlib.util.find_spec("nibabel") is None:
        raise MissingDependencyError(
            "volumes are read with nibabel, which is not installed; pip install 'hueprobe[volumes]'"
        )
    import nibabel

    return nibabel
