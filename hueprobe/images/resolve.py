"""The image table of whatever a user names: the roof over folders, tables, Datasets and data manifests."""

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
    """Return the image table of whatever a user names.

    Parameters
    ----------
    spec : str, path, list of paths or items, torch Dataset or ImageTable
        `"demo"` (for a folder of that name say `"./demo"`), a folder, a CSV or Parquet table, an image
        file, a data manifest's name (`"dtd"`, `"dtd:2"`) or TOML file, a list of image files or of a
        Dataset's items, a Dataset, or a table, which comes back as it is. What exists under a manifest's
        name is taken before it, with a warning; `"manifest:dtd"` is always the manifest.
        `"classes:FOLDER"` and `"splits:FOLDER"` say what the outer folders of a folder are where their
        names do not tell, see `from_folder`.

    Raises
    ------
    ImageError
        There is nothing of that name, or nothing in it.
    InputError
        `spec` is none of these.
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

    As `hueprobe.images.table_files.read_table`; with a column `manifest`, the same in every row, the paths
    are those of that data set's images, and its root is looked up as for the manifest itself.

    The images may lie anywhere. Only a table that lies among the data sets, where archives are unpacked,
    must stay below its own folder, or those that you name; see `hueprobe.images.trust`.

    Parameters
    ----------
    path : path
        A file whose name ends in .csv or .parquet.

    Raises
    ------
    ImageError
        As for `read_table`, or the data set is not there.
    """
    among_sets = Below([os.path.realpath(data_root())])
    return read_table(path, of_manifest=from_manifest, fenced=among_sets(os.path.abspath(path)))


def _is_item(value: Any) -> bool:
    """Whether a list of such values is one of images or of (image, label), and not of files."""
    is_image = hasattr(value, "shape") or (hasattr(value, "size") and hasattr(value, "mode"))
    return is_image or (isinstance(value, tuple | list | Mapping) and len(value) > 0)


def manifest_of(spec: str) -> str | None:
    """Return the data manifest that `spec` names, None where it names none or a path that exists.

    >>> manifest_of("manifest:dtd"), manifest_of("images/")
    ('dtd', None)
    """
    name = spec.removeprefix(_MANIFEST)
    if name != spec:
        return name
    is_one = is_manifest(spec) and (spec.endswith(ENDING) or not os.path.lexists(spec))
    return spec if is_one else None


def _warn_of_both(path: str) -> None:
    """Say where a path is taken that is a manifest's name too."""
    if is_manifest(path) and os.path.lexists(path):
        warnings.warn(
            f"{path!r} is a path here and a data manifest too; the path is taken, "
            f"say '{_MANIFEST}{path}' for the manifest",
            HueprobeWarning,
            stacklevel=3,
        )
