"""The mask of each image: found by path, by stem or in a table."""

import os
import unicodedata
import warnings
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from hueprobe.datasets.library import load_manifest
from hueprobe.datasets.manifest import Manifest
from hueprobe.datasets.mask_places import mask_files
from hueprobe.datasets.roots import data_root
from hueprobe.errors import HueprobeWarning, ImageError, InputError, ShapeError
from hueprobe.images.label_names import IGNORE, LabelSet, label_set
from hueprobe.images.mask_files import Masks, as_labels, survey_masks
from hueprobe.images.paths import TABLE_ENDINGS
from hueprobe.images.resolve import manifest_of, resolve_images
from hueprobe.images.table import ImageTable
from hueprobe.images.table_rows import MASK, csv_rows, parquet_rows
from hueprobe.images.trust import ROOTS, Below, trusted_folders

ENDING = ".png"


def pair_masks(
    images: Any,
    masks: Any,
    *,
    names: Any = None,
    ignore: Iterable[int] = IGNORE,
    zero_is_ignore: bool = False,
    labels: LabelSet | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> Masks:
    """Find the mask of every image, and read all masks once to check their values.

    In a folder, the mask of `train/0001.jpg` is `train/0001.png`; or, if that does not exist, the only file
    `0001.png` anywhere in the folder. A CSV or Parquet table names the mask of each `path` in its column
    `mask`; paths are relative to the table's folder, or absolute. A data manifest that describes
    masks knows those of its images, their labels and what is ignored.

    Parameters
    ----------
    images : path, ImageTable, torch Dataset or list of files
        The images; see `hueprobe.images.resolve_images`.
    masks : path, sequence of path, or Masks
        A folder, a table, the name or file of a data manifest, or one file for each image. Masks are returned
        unchanged, except for `labels`.
    names : path, sequence of str or mapping of int to str, optional
        Names of the labels; see `hueprobe.images.label_set`. By default labels are named by the pixel values
        that occur.
    ignore : iterable of int, default=(255,)
        Pixel values that are not labeled.
    zero_is_ignore : bool, default=False
        Whether 0 is ignored too.
    labels : LabelSet, optional
        The labels, in place of `names`, `ignore` and `zero_is_ignore`.
    workers : int, optional
        Number of threads that read masks; 0 reads in the main thread. By default one per core, at most 16.
    progress : bool, default=False
        Whether to show a progress bar.

    Returns
    -------
    Masks

    Raises
    ------
    ImageError
        A mask is missing, or is not a PNG of one number per pixel; or an image is not one of the data set.
    ManifestError
        The data manifest describes no masks, or is invalid.
    ShapeError
        A mask and its image differ in size.
    InputError
        A value is neither a label nor ignored, all pixels of all masks are ignored, or a mask would belong
        to two images.

    Warns
    -----
    HueprobeWarning
        All pixels of some masks are ignored.

    See Also
    --------
    hueprobe.build_memory : Store the labels of each cell with its vector.
    hueprobe.images.read_mask : Read one mask.

    Examples
    --------
    >>> pair_masks("images", "masks").labels.names
    ('0', '1')
    """
    table = resolve_images(images)
    manifest = _manifest(masks)
    if manifest is not None and manifest.masks is not None and labels is None:
        if names is not None or zero_is_ignore or tuple(ignore) != IGNORE:
            raise InputError(
                f"labels and ignored values of {manifest.name!r} are told by its manifest; leave out names, "
                "ignore and zero_is_ignore"
            )
        labels = manifest.masks.labels()
    if isinstance(masks, Masks):
        if len(masks) != len(table):
            raise ShapeError(f"{len(masks)} masks for {len(table)} images; pair them with the same images")
        if labels is None or labels == masks.labels:
            return masks
        files = list(masks.files)
    elif manifest is not None:
        files = mask_files(manifest, table)
    else:
        files = _files_of(table, masks)
    images_of = [table.file(i) if table.roots[i] else None for i in range(len(table))]
    values, hashes = survey_masks(files, images_of, workers, progress)
    found = sorted(set().union(*values))
    if labels is None:
        labels = label_set(names, ignore=ignore, zero_is_ignore=zero_is_ignore, found=found)
    for file, its in zip(files, values, strict=True):
        as_labels(np.array(sorted(its)), labels, file)
    if set(found) <= set(labels.ignore):
        raise InputError(
            f"all pixels of all {len(files)} masks are ignored (values {', '.join(map(str, found))}); change "
            "what is ignored"
        )
    if empty := [file for file, its in zip(files, values, strict=True) if its <= set(labels.ignore)]:
        warnings.warn(
            f"all pixels are ignored in {len(empty)} of {len(files)} masks, such as {empty[0]!r}; these "
            "images have no labels",
            HueprobeWarning,
            stacklevel=3,
        )
    return Masks(tuple(files), tuple(hashes), labels)


def _manifest(masks: Any) -> Manifest | None:
    """Return the data manifest that is named in place of masks, if one is."""
    if not isinstance(masks, str | os.PathLike):
        return None
    name = manifest_of(os.fspath(masks))
    return None if name is None else load_manifest(name)


def _files_of(table: ImageTable, masks: Any) -> list[str]:
    """Return the absolute path of each image's mask."""
    if isinstance(masks, list | tuple):
        if len(masks) != len(table):
            raise ShapeError(f"{len(masks)} masks for {len(table)} images; give one for each image")
        return [os.path.abspath(os.fspath(mask)) for mask in masks]
    if not isinstance(masks, str | os.PathLike):
        raise InputError(f"masks are a {type(masks).__name__}; give a folder, a table or a list of files")
    shown = os.fspath(masks)
    if os.path.isdir(shown):
        return _in_folder(table, os.path.abspath(shown))
    if Path(shown).suffix.lower() in TABLE_ENDINGS and os.path.isfile(shown):
        return _in_table(table, shown)
    raise ImageError(
        f"no masks at {shown!r}; give a folder, a .csv or .parquet table with columns path and mask, or the "
        "name of a data manifest that describes masks"
    )


def _in_folder(table: ImageTable, root: str) -> list[str]:
    by_path, by_stem = _listed(root)
    files = []
    image_of: dict[str, str] = {}
    for path in table.paths:
        name = unicodedata.normalize("NFC", path)
        stem = PurePosixPath(name).stem
        file = by_path.get(str(PurePosixPath(name).with_suffix("")))
        if file is None:
            same = by_stem.get(stem, [])
            if len(same) > 1:
                raise ImageError(
                    f"{len(same)} masks could belong to image {path!r}, such as {same[0]!r} and {same[1]!r}; "
                    "give the masks the same relative paths as the images, or a table with a column mask"
                )
            file = same[0] if same else None
        if file is None:
            raise ImageError(
                f"no mask {stem + ENDING!r} in {root!r} for image {path!r}; give every image a mask, or a "
                "table with a column mask"
            )
        if file in image_of:
            raise ImageError(
                f"mask {file!r} would belong to the images {image_of[file]!r} and {path!r}; give the masks "
                "the same relative paths as the images"
            )
        image_of[file] = path
        files.append(os.path.join(root, file))
    return files


def _listed(root: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the masks below a folder, relative to it: by path without ending, and by stem."""
    by_path: dict[str, str] = {}
    by_stem: dict[str, list[str]] = {}
    seen = {os.path.realpath(root)}
    for where, folders, names in os.walk(root, followlinks=True):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith((".", "__MACOSX"))
            and not (os.path.islink(link := os.path.join(where, name)) and _again(link, seen))
        )
        for name in sorted(names):
            stem, ending = os.path.splitext(name)
            if ending.lower() == ENDING and not name.startswith("."):
                file = os.path.relpath(os.path.join(where, name), root).replace(os.sep, "/")
                by_path[unicodedata.normalize("NFC", os.path.splitext(file)[0])] = file
                by_stem.setdefault(unicodedata.normalize("NFC", stem), []).append(file)
    return by_path, by_stem


def _again(link: str, seen: set[str]) -> bool:
    """Whether a link leads to a folder that was seen before, so that links in a circle end."""
    target = os.path.realpath(link)
    if target in seen:
        return True
    seen.add(target)
    return False


def _in_table(table: ImageTable, path: str) -> list[str]:
    rows = list((csv_rows if path.lower().endswith(".csv") else parquet_rows)(path))
    if rows and MASK not in rows[0].cells:
        raise ImageError(f"{path!r} has no column 'mask'; give the mask of each image there")
    folder = os.path.dirname(os.path.abspath(path))
    is_below = Below([os.path.realpath(data_root())])
    trusted = None
    if is_below(os.path.abspath(path)):  # as for images: see hueprobe.images.trust
        trusted = Below(trusted_folders(os.path.dirname(os.path.realpath(path))))
    masks: dict[str, str | None] = {}
    for row in rows:
        name = row.cells["path"] or ""
        mask = row.cells[MASK]
        file = None if mask is None else os.path.normpath(os.path.join(folder, mask))
        if file is not None and trusted is not None and not trusted(file):
            raise ImageError(
                f"{path!r}, {row.place}: mask {mask!r} leads out of the table's folder, which is inside the "
                f"data folder; if you trust it, name its folder in {ROOTS}"
            )
        masks[unicodedata.normalize("NFC", name)] = file
        masks[unicodedata.normalize("NFC", os.path.normpath(os.path.join(folder, name)))] = file
    files = []
    for i, name in enumerate(table.paths):
        absolute = str(table.file(i)) if table.roots[i] else name
        found = [masks.get(unicodedata.normalize("NFC", key)) for key in (absolute, name)]
        file = found[0] or found[1]
        if file is None:
            raise ImageError(f"{path!r} has no mask for image {name!r}; fill in its column mask")
        files.append(file)
    return files
