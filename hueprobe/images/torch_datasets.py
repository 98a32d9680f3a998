"""Image tables from torch Datasets."""

import warnings
from collections.abc import Mapping
from typing import Any

from hueprobe.errors import HueprobeWarning, InputError
from hueprobe.images.rgb import IMAGE_KEYS
from hueprobe.images.table import ImageTable, from_items

# Keys under which collections store the class of an item that is a mapping.
LABEL_KEYS = ("label", "labels", "class", "target", "fine_label", "cls")


def from_dataset(dataset: Any) -> ImageTable:
    """List the items of a torch Dataset, which are read again whenever their images are needed.

    Parameters
    ----------
    dataset : torch Dataset
        Dataset with a length. Items are `(image, label)`, `image`, or mappings like those of Hugging Face,
        `{"image": ..., "label": ...}`. An image is a PIL image, a tensor (C, H, W), or an ndarray (H, W)
        or (H, W, C); uint8, or float between 0 and 1 (so use no normalizing transform). Or it is the
        content of an image file, as bytes, which is read like the file. Integer labels are named by
        `dataset.classes` or the names of the label feature, if there are any.

    Returns
    -------
    ImageTable
        One row per item.

    Raises
    ------
    InputError
        If this is not a Dataset or is empty, or if labels are neither names nor integers.

    See Also
    --------
    hueprobe.images.resolve_images : List the images of any source.

    Notes
    -----
    Labels come from `dataset.targets` or `dataset.labels` (also through a `Subset` or `ConcatDataset`) if
    there is one per item and no `target_transform`. Otherwise every item is read once, with its image.

    Examples
    --------
    >>> black, white = np.zeros((8, 8), np.uint8), np.full((8, 8), 255, np.uint8)
    >>> from_dataset([(black, "night"), (white, "day")]).classes
    ('night', 'day')
    """
    if isinstance(dataset, Mapping) and (parts := [k for k, v in dataset.items() if _has_items(v)]):
        raise InputError(
            f"this {type(dataset).__name__} contains several data sets, {', '.join(map(repr, parts[:5]))}; "
            f"give one of them, such as [{parts[0]!r}]"
        )
    if not _has_items(dataset) or isinstance(dataset, Mapping):
        hint = " (take(n) or a list of its items has a length)" if hasattr(dataset, "__iter__") else ""
        raise InputError(
            f"cannot take images from {type(dataset).__name__}; give a folder, a table, a list of files, "
            f"or a torch Dataset with __len__ and __getitem__{hint}"
        )
    if not len(dataset):
        raise InputError(f"the Dataset {type(dataset).__name__} has no items")
    return from_items(dataset, _classes_of(dataset))


def _has_items(dataset: Any) -> bool:
    is_text = isinstance(dataset, str | bytes)
    return hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__") and not is_text


def _classes_of(dataset: Any) -> list[str | None]:
    """Return the class of each item; the parts of a ConcatDataset use their own class names."""
    parts = getattr(dataset, "datasets", None)
    if isinstance(parts, list | tuple) and parts and sum(map(len, parts)) == len(dataset):
        return [name for part in parts for name in _classes_of(part)]
    labels, names = _stored_labels(dataset), _class_names(dataset)
    is_subset = hasattr(dataset, "dataset") and hasattr(dataset, "indices")  # torch.utils.data.Subset
    if labels is None and is_subset and _is_cheap(dataset.dataset):
        whole = _classes_of(dataset.dataset)
        return [whole[int(i)] for i in dataset.indices]
    return [_class_of(label, names) for label in labels or _read_labels(dataset)]


def _is_cheap(dataset: Any) -> bool:
    """Whether all labels are known without reading any item."""
    parts = getattr(dataset, "datasets", None)
    if isinstance(parts, list | tuple) and parts:
        return all(map(_is_cheap, parts))
    if hasattr(dataset, "dataset") and hasattr(dataset, "indices"):
        return _is_cheap(dataset.dataset)
    return _stored_labels(dataset) is not None


def _stored_labels(dataset: Any) -> list[Any] | None:
    if getattr(dataset, "target_transform", None) is not None:
        return None
    column = _label_column(dataset)
    stored: list[Any] = [getattr(dataset, name, None) for name in ("targets", "labels")]
    for values in (*stored, None if column is None else dataset[column]):
        if hasattr(values, "__len__") and len(values) == len(dataset):
            return values.tolist() if hasattr(values, "tolist") else list(values)
    return None


def _label_column(dataset: Any) -> str | None:
    """Return the label column of a data set of Hugging Face's `datasets`, None for any other Dataset."""
    columns = getattr(dataset, "column_names", None)
    if not isinstance(columns, list) or not hasattr(dataset, "features"):
        return None
    return next((key for key in LABEL_KEYS if key in columns), None)


def _read_labels(dataset: Any) -> list[Any]:
    labels: list[Any] = []
    failed = 0
    for i in range(len(dataset)):
        try:
            item = dataset[i]
        except Exception:  # a broken image is reported when it is loaded
            failed += 1
            labels.append(None)
            continue
        if isinstance(item, Mapping):
            key = next((key for key in LABEL_KEYS if key in item), None)
            if key is None and not i:
                _warn_of_keys(item)
            labels.append(None if key is None else item[key])
            continue
        if not isinstance(item, tuple | list):
            return [None] * len(dataset)
        labels.append(item[1] if len(item) > 1 else None)
    if failed:
        warnings.warn(
            f"{failed} of {len(dataset)} Dataset items cannot be read and have no class",
            HueprobeWarning,
            stacklevel=4,
        )
    return labels


def _warn_of_keys(item: Mapping[str, Any]) -> None:
    if others := [key for key in item if key not in IMAGE_KEYS]:
        warnings.warn(
            f"the items have no class: none of their keys {', '.join(map(repr, others[:8]))} is 'label'; "
            "rename the key of the class",
            HueprobeWarning,
            stacklevel=5,
        )


def _class_names(dataset: Any) -> Mapping[int, str] | None:
    """Return the names of integer labels, by label."""
    column = _label_column(dataset)
    feature = None if column is None else dataset.features.get(column)
    names: Any = getattr(feature, "names", None)
    names = getattr(dataset, "classes", None) if names is None else names
    if names is None and hasattr(dataset, "dataset"):
        return _class_names(dataset.dataset)
    names = names.tolist() if hasattr(names, "tolist") else names
    if isinstance(names, Mapping):
        return {int(number): str(name) for number, name in names.items()}
    return {i: str(name) for i, name in enumerate(names)} if isinstance(names, list | tuple) else None


def _class_of(label: Any, names: Mapping[int, str] | None) -> str | None:
    if getattr(label, "ndim", None) == 0 or getattr(label, "shape", None) == (1,):
        label = label.item()  # a number of NumPy or torch
    if label is None or isinstance(label, str):
        return label
    if not isinstance(label, int):
        text = " ".join(repr(label).split())
        shown = f"{text[:80]}..." if len(text) > 80 else text
        raise InputError(f"a Dataset label is {shown}; give a class name or an integer")
    if names is None:
        return str(label)
    if label == -1:  # torchvision's label of unlabeled items
        return None
    if label not in names:
        raise InputError(f"a Dataset label is {label}, but dataset.classes has {len(names)} names")
    return names[label]
