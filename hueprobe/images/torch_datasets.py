"""Image tables from torch Datasets."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from hueprobe.errors import HueprobeWarning, InputError
from hueprobe.images.table import ImageTable, from_items


def from_dataset(dataset: Any) -> ImageTable:
    """List the items of a torch Dataset, which are read again whenever their images are needed.

    Parameters
    ----------
    dataset : torch Dataset
        Of known length, whose items are `(image, label)` or `image`: a PIL image, a tensor (C, H, W)
        or an ndarray (H, W) or (H, W, C); uint8, or float between 0 and 1, so without a transform that
        normalizes. An integer label is named by `dataset.classes` where there is such a list.

    Notes
    -----
    Labels come from `dataset.targets` or `dataset.labels` (also through a `Subset`) where there are as
    many as items and no `target_transform`. Otherwise every item is read once, images and all.

    Raises
    ------
    InputError
        No Dataset, an empty one, or labels that are neither names nor integers.
    """
    has_items = hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
    if not has_items or isinstance(dataset, Mapping):
        raise InputError(
            f"cannot take images from {type(dataset).__name__}; give a folder, a table, a list of files, "
            "or a torch Dataset with __len__ and __getitem__"
        )
    if not len(dataset):
        raise InputError(f"the Dataset {type(dataset).__name__} has no items")
    labels = _stored_labels(dataset)
    names = _class_names(dataset)
    return from_items(dataset, [_class_of(label, names) for label in labels or _read_labels(dataset)])


def _stored_labels(dataset: Any) -> list[Any] | None:
    if getattr(dataset, "target_transform", None) is not None:
        return None
    for name in ("targets", "labels"):
        values: Any = getattr(dataset, name, None)
        if hasattr(values, "__len__") and len(values) == len(dataset):
            return values.tolist() if hasattr(values, "tolist") else list(values)
    if hasattr(dataset, "dataset") and hasattr(dataset, "indices"):  # torch.utils.data.Subset
        labels = _stored_labels(dataset.dataset)
        return labels and [labels[int(i)] for i in dataset.indices]
    return None


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
        if not isinstance(item, tuple | list):
            return [None] * len(dataset)
        labels.append(item[1] if len(item) > 1 else None)
    if failed:
        warnings.warn(
            f"{failed} of {len(dataset)} Dataset items cannot be read and have no class",
            HueprobeWarning,
            stacklevel=3,
        )
    return labels


def _class_names(dataset: Any) -> Sequence[str] | None:
    names = getattr(dataset, "classes", None)
    if names is None and hasattr(dataset, "dataset"):
        return _class_names(dataset.dataset)
    return [str(name) for name in names] if isinstance(names, list | tuple) else None


def _class_of(label: Any, names: Sequence[str] | None) -> str | None:
    if getattr(label, "ndim", None) == 0:
        label = label.item()  # a number of NumPy or torch
    if label is None or isinstance(label, str):
        return label
    if not isinstance(label, int):
        raise InputError(f"a Dataset label is {label!r}; give a class name or an integer")
    if names is None:
        return str(label)
    if label == -1:  # the mark of unlabeled items in torchvision
        return None
    if not 0 <= label < len(names):
        raise InputError(f"a Dataset label is {label}, but dataset.classes has {len(names)} names")
    return names[label]
