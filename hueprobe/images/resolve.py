"""Image tables from anything that names images: folders, tables, Datasets and data manifests."""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hueprobe.datasets.library import ENDING, is_manifest
from hueprobe.datasets.resolving import from_manifest
from hueprobe.datasets.roots import data_root
from hueprobe.errors import HueprobeWarning, ImageError
from hueprobe.images.demo_images import demo
from hueprobe.images.endings import HEIF_ENDINGS, is_image
from hueprobe.images.layout import CLASSES, SPLITS
from hueprobe.images.names import OnDisk
from hueprobe.images.paths import ACCEPTED, TABLE_ENDINGS, from_folder, from_paths
from hueprobe.images.table import ImageTable
from hueprobe.images.table_files import read_table
from hueprobe.images.torch_datasets import from_dataset
from hueprobe.images.trust import Below

_MANIFEST = "manifest:"


def resolve_images(spec: Any) -> ImageTable:
    """Return the image table of anything that names images.

    Parameters
    ----------
    spec : str, path, list of paths or items, torch Dataset or ImageTable
        - `"demo"`: the demo's images (use `"./demo"` for a folder of that name);
        - a folder; `"classes:FOLDER"` or `"splits:FOLDER"` if the names of its outer folders do not show
          what they are, see `from_folder`;
        - a CSV or Parquet table, see `from_table`;
        - an image file, or a list of image files;
        - the name of a data manifest (`"dtd"`, `"dtd:2"`) or its TOML file. An existing path of the same
          name takes precedence, with a warning; `"manifest:dtd"` always is the manifest;
        - a Dataset, or a list of items of a Dataset, see `from_dataset`;
        - a table, which is returned unchanged.

    Returns
    -------
    ImageTable
        The images.

    Raises
    ------
    ImageError
        If nothing of that name exists, or if it contains no images.
    InputError
        If `spec` is none of these.

    See Also
    --------
    hueprobe.images.from_folder : List the images of a folder.
    hueprobe.images.from_table : List the images of a CSV or Parquet file.
    hueprobe.images.from_dataset : List the items of a torch Dataset.

    Examples
    --------
    >>> len(resolve_images("images")), len(resolve_images(["images/circle/circle0.png"]))
    (12, 1)
    """
    if isinstance(spec, ImageTable):
        return spec
    if isinstance(spec, list | tuple) and not (spec and _is_item(spec[0])):
        return from_paths(spec)
    if not isinstance(spec, str | os.PathLike):
        return from_dataset(spec)
    spec = OnDisk()(os.fspath(spec))
    if spec == "demo":
        return demo()
    for prefix in (CLASSES, SPLITS):
        if spec.startswith(prefix) and not os.path.lexists(spec):
            return from_folder(spec.removeprefix(prefix), splits=prefix == SPLITS)
    if (manifest := manifest_of(spec)) is not None:
        return from_manifest(manifest)
    _warn_of_both(spec)
    if os.path.isdir(spec):
        return from_folder(spec)
    ending = os.path.splitext(spec)[1].lower()
    if ending in TABLE_ENDINGS:
        return from_table(spec)
    if not os.path.lexists(spec):
        raise ImageError(f"no images at {spec!r}; give {ACCEPTED}")
    if not is_image(spec) and ending not in HEIF_ENDINGS:
        raise ImageError(f"{spec!r} is neither a folder, a table nor an image; give {ACCEPTED}")
    return from_paths([spec])


def from_table(path: str | Path) -> ImageTable:
    """List the images of a CSV (UTF-8) or Parquet file, in its order.

    Columns are `path` and `class`, optionally `split` and `group`; other columns are ignored with a
    warning. Paths are absolute or relative to the file's folder. An empty cell means no value. A missing
    image keeps its row, like an unreadable one. With a column `manifest`, whose value must be the same in
    every row, paths are those of that data set's images, and its folder is found by the manifest.

    Images may be in any folder. Only a table inside the data folder, where archives are unpacked, is
    restricted to images below its own folder; the environment variable `HUEPROBE_ROOTS` allows more.

    Parameters
    ----------
    path : path
        A file whose name ends in .csv or .parquet.

    Returns
    -------
    ImageTable
        The images.

    Raises
    ------
    ImageError
        If the file is missing or invalid, if a column is missing, if a path is empty or occurs twice, if
        no image exists, or if the data set is not found.

    See Also
    --------
    hueprobe.images.save_table : Write such a file.

    Examples
    --------
    >>> hp.images.save_table(hp.images.from_folder("images"), "images.csv")
    >>> from_table("images.csv").class_names
    ('circle', 'square', 'triangle')
    """
    among_sets = Below([os.path.realpath(data_root())])
    return read_table(path, of_manifest=from_manifest, fenced=among_sets(os.path.abspath(path)))


def _is_item(value: Any) -> bool:
    """Whether a list of such values contains images or (image, label), not files."""
    is_image = hasattr(value, "shape") or (hasattr(value, "size") and hasattr(value, "mode"))
    return is_image or (isinstance(value, tuple | list | Mapping) and len(value) > 0)


def manifest_of(spec: str) -> str | None:
    """Return the data manifest that `spec` names, or None if it names none or an existing path.

    >>> manifest_of("manifest:dtd"), manifest_of("images/")
    ('dtd', None)
    """
    name = spec.removeprefix(_MANIFEST)
    if name != spec:
        return name
    is_one = is_manifest(spec) and (spec.endswith(ENDING) or not os.path.lexists(spec))
    return spec if is_one else None


def _warn_of_both(path: str) -> None:
    """Warn if a path is used that is also a manifest's name."""
    if is_manifest(path) and os.path.lexists(path):
        warnings.warn(
            f"{path!r} is both a path and a data manifest; the path is used, "
            f"use '{_MANIFEST}{path}' for the manifest",
            HueprobeWarning,
            stacklevel=3,
        )
