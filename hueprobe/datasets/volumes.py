"""Slices of volumes (NIfTI) as images, written once as PNG files."""

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

# The axis along which a plane's slices are stacked, in a volume with axes right, anterior, superior.
_AXIS = {"axial": 2, "coronal": 1, "sagittal": 0}
assert set(_AXIS) == set(get_args(Plane))
_MOST_STRETCH = 100  # ratio of the longest to the shortest side of a voxel
_MOST_PIXELS_A_VOLUME = 8  # times the limit of an image: 0.7 billion voxels


def slice_folder(slices: Slices) -> str:
    """Return the name of the folder for slices with these settings.

    Different settings have different folders, so their images never mix.
    """
    said = {  # hashed into the names of folders
        "count": slices.count,
        "plane": slices.plane,
        "spacing": float(slices.spacing),
        "window": list(map(float, slices.window)),
        "window_is_percentile": slices.window_is == "percentile",
    }
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:10]
    return f"slices-{slices.plane}-{slices.spacing:g}mm-{digest}"


def slice_names(volume: str, slices: Slices) -> list[str]:
    """Return the paths of one volume's images, relative to the slices' folder.

    >>> window = dict(window=(1.0, 99.0), window_is="percentile")
    >>> slice_names("100307/T1w/brain.nii.gz", Slices(plane="axial", spacing=10.0, count=2, **window))
    ['100307/T1w/brain/axial_0.png', '100307/T1w/brain/axial_1.png']
    """
    stem = volume.removesuffix(".gz").removesuffix(".nii")
    width = len(str(slices.count - 1))
    return [f"{stem}/{slices.plane}_{i:0{width}d}.png" for i in range(slices.count)]


def write_slices(volume: Path, slices: Slices, images: list[Path]) -> None:
    """Write the slices of one volume as 8-bit gray PNG files, replacing existing ones.

    Parameters
    ----------
    volume : Path
        NIfTI file with three axes, `.nii` or `.nii.gz`.
    slices : Slices
        Which slices to write.
    images : list of Path
        One file per slice, starting at the inferior, posterior or left end.

    Raises
    ------
    MissingDependencyError
        If nibabel is not installed.
    ImageError
        If the volume cannot be read, does not have three axes, or is too thin for the slices.
    """
    for path, pixels in zip(images, read_slices(volume, slices), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as file:
            Image.fromarray(pixels).save(file, "PNG")


def read_slices(volume: Path, slices: Slices) -> list[np.ndarray]:
    """Return the slices of one volume as uint8 arrays (rows, columns) of square pixels.

    The volume is reoriented to the nearest right-anterior-superior axes. Slices are `spacing` mm apart and
    centered on the middle of the volume; each is the nearest voxel plane. Superior is up (in axial slices,
    anterior). The subject's left is on the image's left (in sagittal slices, anterior is on the right). If
    voxels are not square in the plane, the coarser axis is linearly interpolated to the finer one.
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
        raise ImageError(f"{str(volume)!r} has voxels of {zooms} mm, which is implausible")
    axis = _AXIS[slices.plane]
    offsets = (np.arange(slices.count) - (slices.count - 1) / 2) * slices.spacing / zooms[axis]
    places = np.rint((values.shape[axis] - 1) / 2 + offsets).astype(int)
    if places[0] < 0 or places[-1] >= values.shape[axis]:
        raise ImageError(
            f"{str(volume)!r} is {values.shape[axis] * zooms[axis]:g} mm deep, but {slices.count} "
            f"{slices.plane} slices {slices.spacing:g} mm apart need "
            f"{(slices.count - 1) * slices.spacing:g} mm; choose fewer or closer ones"
        )
    low, high = _window(values, slices, volume)
    in_plane = [zoom for i, zoom in enumerate(zooms) if i != axis]  # (columns, rows) of the image
    return [_image(values.take(place, axis=axis), in_plane, low, high) for place in places]


def _require_credible(volume: Path, shape: tuple[int, ...]) -> None:
    """Refuse a volume whose header declares an implausible size."""
    pixels = max_pixels()
    if pixels is not None and math.prod(shape) > pixels * _MOST_PIXELS_A_VOLUME:
        raise ImageError(
            f"{str(volume)!r} declares {' x '.join(map(str, shape))} voxels; if you trust it, "
            f"increase {PIXELS}"
        )


def _window(values: np.ndarray, slices: Slices, volume: Path) -> tuple[float, float]:
    low, high = slices.window
    if slices.window_is == "percentile":
        inside = values[values != 0]
        if not inside.size:
            raise ImageError(f"{str(volume)!r} is 0 everywhere, so its slices are empty")
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
