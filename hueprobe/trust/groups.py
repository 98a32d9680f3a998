"""Groups of the images of a classification, and whether two sets of images are apart."""

from collections.abc import Sequence

import numpy as np

from hueprobe.classification import Classification
from hueprobe.errors import InputError


def groups_of(result: Classification) -> tuple[str | None, ...]:
    """Return the group of each image of a classification; None where it has none, or none is recorded.

    Parameters
    ----------
    result : Classification
        A classification; one without sources and match table has no groups.
    """
    if result.sources is not None:
        every: Sequence[str | None] = result.sources.queries.groups
    elif result.matches is not None:
        every = result.matches.query_image_group
    else:
        return (None,) * len(result)
    return tuple(every[row] for row in result.rows)


def codes_of(images: Sequence[str], groups: Sequence[str | None]) -> np.ndarray:
    """Return one code for each group, and one for each image without a group, shape (n,).

    Parameters
    ----------
    images : sequence of str
        Images, n long.
    groups : sequence of (str or None)
        Group of each image.
    """
    codes: dict[object, int] = {}
    keys = [(i,) if group is None else group for i, group in zip(range(len(images)), groups, strict=True)]
    return np.array([codes.setdefault(key, len(codes)) for key in keys], np.int64).reshape(len(images))


def require_apart(calibration: Classification, test: Classification) -> None:
    """Raise InputError if an image file or a group is in both sets.

    Parameters
    ----------
    calibration, test : Classification
        Classifications of the two sets of images.
    """
    both = set(groups_of(calibration)) & set(groups_of(test)) - {None}
    if both:
        raise InputError(
            f"{len(both)} groups are in the calibration and in the test images, such as "
            f"{min(map(str, both))!r}; p-values hold for images of new groups only: keep each group in one "
            "set"
        )
    files = _files(calibration) & _files(test)
    if files:
        raise InputError(
            f"{len(files)} images are in the calibration and in the test set, such as {min(files)[1]!r}; "
            "keep the sets apart (choose with --split)"
        )


def _files(result: Classification) -> set[tuple[str, str]]:
    """Return root and path of each image that is a file."""
    if result.sources is None:
        return set()
    table = result.sources.queries
    return {(table.roots[row], table.paths[row]) for row in result.rows if table.roots[row]}
