"""Image tables of data sets on disk, by their manifests."""

import os
import warnings
from dataclasses import replace
from pathlib import Path

from hueprobe.datasets.library import load_manifest
from hueprobe.datasets.listing import Entry, Listing, list_set, require_classes
from hueprobe.datasets.manifest import Manifest
from hueprobe.datasets.roots import candidate_roots, not_found
from hueprobe.datasets.volumes import slice_folder, slice_names
from hueprobe.errors import HueprobeError, HueprobeWarning, ImageError
from hueprobe.images.table import ImageTable, from_items


def from_manifest(spec: str | os.PathLike[str] | Manifest, *, root: str | Path | None = None) -> ImageTable:
    """List the images of a data set by its manifest, with class, group and official split.

    Parameters
    ----------
    spec : str, path or Manifest
        `"dtd"`, `"dtd:2"` (a variant), your own TOML file, or a loaded manifest.
    root : path, optional
        Folder that contains the data set's own folder, that folder itself, or the one that contains its
        class folders. None searches `hueprobe.datasets.data_root`, and for your own manifest its folder.

    Returns
    -------
    ImageTable
        The images, sorted by class and path.

    Raises
    ------
    ManifestError
        If the manifest does not exist or is invalid.
    ImageError
        If the data set is not found, if its classes cannot be determined, or if the slices of its volumes
        are not written yet.

    See Also
    --------
    hueprobe.datasets.fetch_set : Fetch the data set.
    hueprobe.datasets.verify_set : Check that the data set is complete.

    Examples
    --------
    >>> with open("shapes.toml", "w") as file:
    ...     _ = file.write(hp.datasets.draft_manifest("images", beside="."))
    >>> table = from_manifest("shapes.toml")
    >>> len(table), table.class_names
    (12, ('circle', 'square', 'triangle'))
    """
    manifest = spec if isinstance(spec, Manifest) else load_manifest(spec)
    if manifest.layout.kind == "torchvision":
        return _from_torchvision(manifest, root)
    listing = list_set(manifest, root)
    require_classes(manifest, listing)
    if listing.problems:
        more = f" (and {len(listing.problems) - 1} more)" if len(listing.problems) > 1 else ""
        warnings.warn(
            f"{manifest.name}: {listing.problems[0]}{more}; `hueprobe data verify {manifest.spec}` lists all",
            HueprobeWarning,
            stacklevel=2,
        )
    if manifest.slices is not None:
        return _of_slices(manifest, listing)
    return table_of(listing.entries, listing.place.images)


def table_of(entries: tuple[Entry, ...], root: Path) -> ImageTable:
    """Return the image table of a listing; paths are relative to the images' folder."""
    return ImageTable(
        paths=tuple(entry.path for entry in entries),
        roots=(str(root),) * len(entries),
        classes=tuple(entry.class_ for entry in entries),
        splits=tuple(entry.split for entry in entries),
        groups=tuple(entry.group for entry in entries),
        sizes=tuple(entry.size for entry in entries),
    )


def torchvision_root(manifest: Manifest, root: str | Path | None) -> Path:
    """Return torchvision's `root`: the folder that contains the data set's own.

    Raises
    ------
    ImageError
        If there is no such folder at any root.
    """
    steps = tuple(manifest.layout.folder.split("/")) if manifest.layout.folder else ()
    roots = candidate_roots(manifest, root)
    for folder, _ in roots:
        for k in range(len(steps) + 1):
            whole = folder.joinpath(*steps[k:]).resolve()
            if whole.is_dir() and whole.parts[len(whole.parts) - len(steps) :] == steps:
                return whole.parents[len(steps) - 1] if steps else whole
    raise not_found(manifest, roots)


def _from_torchvision(manifest: Manifest, root: str | Path | None) -> ImageTable:
    from hueprobe.datasets.torchvision_sets import join_datasets, open_datasets
    from hueprobe.images.torch_datasets import from_dataset

    assert manifest.torchvision is not None  # required by the schema
    above = torchvision_root(manifest, root)
    try:
        datasets = open_datasets(manifest.torchvision, above)
    except HueprobeError:
        raise
    except Exception as error:  # torchvision raises anything on damaged files
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(
            f"torchvision cannot read {manifest.name!r} at {str(above)!r}: {reason}; "
            f"`hueprobe data fetch {manifest.spec}` gets it"
        ) from error
    classes = [name for dataset in datasets.values() for name in from_dataset(dataset).classes]
    names = manifest.class_.names
    splits = [split for split, dataset in datasets.items() for _ in range(len(dataset))]
    table = from_items(join_datasets(datasets), [names.get(name or "", name) for name in classes])
    return replace(table, splits=tuple(splits))


def _of_slices(manifest: Manifest, listing: Listing) -> ImageTable:
    """Return one row per slice, with class, group and split of its volume."""
    slices = manifest.slices
    assert slices is not None
    folder = listing.place.base / slice_folder(slices)
    entries = []
    for entry in listing.entries:
        for name in slice_names(entry.path, slices):
            file = folder / name
            entries.append(replace(entry, path=name, size=file.stat().st_size if file.is_file() else -1))
    if lacking := sum(entry.size < 0 for entry in entries):
        raise ImageError(
            f"{lacking} of {len(entries)} slices of {manifest.name!r} are not written yet; "
            f"`hueprobe data fetch {manifest.spec}` writes them to {str(folder)!r}"
        )
    return table_of(tuple(entries), folder)
