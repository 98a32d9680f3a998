"""Audit of a memory's images: exact and near duplicates, shared patches, and label-noise candidates."""

from typing import Any

import numpy as np

from hueprobe.arguments import as_count, takes
from hueprobe.classifier import KernelDensityClassifier
from hueprobe.errors import InputError, require_choice
from hueprobe.images.resolve import resolve_images
from hueprobe.memory.store import Memory
from hueprobe.query_source import QuerySource
from hueprobe.trust.audit_result import Audit
from hueprobe.trust.compared_images import ComparedImages, gathered
from hueprobe.trust.near_pairs import NearPairs
from hueprobe.trust.shared_cells import LEAST

FALSE_ALARMS = 0.001  # share of images


@takes(Memory)
def audit(
    memory: Memory,
    images: Any = None,
    *,
    false_alarms: float = FALSE_ALARMS,
    relative_distance: float | None = None,
    cells: int | None = None,
    k: int = 10,
    searcher: str = "exact",
    exclude: str = "image",
    backbone: Any = None,
    transform: Any = None,
    weights: Any = None,
    device: str = "auto",
    workers: int | None = None,
    memory_budget: int | None = None,
    index_dir: Any = None,
    progress: bool = False,
) -> Audit:
    """Find duplicates among a memory's images and further images, and labels that are likely wrong.

    - Exact duplicates have the same sha256 of the file's content.
    - Near-duplicates have pooled descriptors (mean activation, scaled to unit length) at a small *relative
      distance*: their distance, divided by the geometric mean of both images' distances to their 10th nearest
      image of the memory (to at least half of the median of these distances).
    - Shared patches are cells of one image whose nearest cells lie in another image, all at one displacement.
    - Label-noise candidates are ranked by the likelihood of their own class in leave-one-out, Eq. (2). Images
      of equal content do not vote for each other; near-duplicates do, so look at those first.

    The limits follow from the images. The nearest images *of another class* are a sample of how near images
    are by chance; by their extreme-value distribution [1]_, a share `false_alarms` of the images is paired
    with an image of another class. See `hueprobe.stats.limit_of_minima`. The rate does not hold for pairs of
    one class, which are more alike: frames of one film or photographs of a series are found, whether they
    count as duplicates or not. Without two classes, every other image counts as of another class.

    Parameters
    ----------
    memory : Memory
        Memory whose images are compared with each other.
    images : path, ImageTable, torch Dataset or list of files, optional
        Further images, which are compared with the memory; among each other by content and pooled
        descriptor only. By default the memory alone is audited; its splits are told apart.
    false_alarms : float, default=0.001
        Share of images that each limit may pair with an image of another class by chance, between 0 and 1.
    relative_distance : float, optional
        Limit of the relative distance. By default it follows from `false_alarms`.
    cells : int, optional
        Least number of shared cells, at least 2. By default it follows from `false_alarms`.
    k : int, default=10
        Number of neighbors of each cell; shared patches use the nearest 3.
    searcher : str, default="exact"
        A SPEC; an approximate search may miss shared cells.
    exclude : {"image", "group"}, default="image"
        "group" does not compare the cells of images of one group, nor lets them vote for each other.
    backbone : nn.Module, optional
        The live module, if the memory was built with one. By default the recorded network is loaded.
    transform : callable, optional
        The transform, if the memory was built with a custom one. By default the recorded one is used.
    weights : path, optional
        Where the recorded weights file is now. By default its recorded path is used.
    device : str, default="auto"
        Where the network and exact search run; see `KernelDensityClassifier`.
    workers : int, optional
        Number of threads that decode images. By default one per core, at most 16.
    memory_budget : int, optional
        Bytes of vectors that exact search may keep in RAM; see `open_searcher`.
    index_dir : path, optional
        Where indexes are kept; inside the memory by default.
    progress : bool, default=False
        Whether to show progress.

    Returns
    -------
    Audit

    Raises
    ------
    InputError
        The rate or a limit is out of its range, or `exclude` is neither of both.

    See Also
    --------
    hueprobe.trust.Audit.false_alarms : The share of images that a limit pairs with another class.
    hueprobe.trust.Audit.copies : How many images of one split have a copy in another.
    hueprobe.trust.label_candidates : Ranks the images of any classification.

    References
    ----------
    .. [1] R. A. Fisher and L. H. C. Tippett, "Limiting forms of the frequency distribution of the largest or
       smallest member of a sample", Proceedings of the Cambridge Philosophical Society 24, 180-190, 1928.

    Examples
    --------
    >>> found = hp.trust.audit(memory, "others", k=5, backbone=network, transform=transform)
    >>> len(found), found.exact
    (18, ())
    """
    if not 0 < false_alarms < 1:
        raise InputError(f"false_alarms is {false_alarms}; give a share of images between 0 and 1")
    if relative_distance is not None and not 0 <= relative_distance < np.inf:
        raise InputError(f"relative_distance is {relative_distance}; give a finite number from 0 on")
    if cells is not None:
        cells = as_count("cells", cells, least=LEAST)
    require_choice("exclude", exclude, ("image", "group"))
    shared: dict[str, Any] = {
        "exclude": exclude, "backbone": backbone, "transform": transform, "weights": weights,
        "device": device, "workers": workers, "progress": progress,
    }  # fmt: skip
    classifier = KernelDensityClassifier(
        memory, k=k, searcher=searcher, memory_budget=memory_budget, index_dir=index_dir, **shared
    )
    source = QuerySource(memory, images=None, **shared)
    parts = [gathered(classifier, source.of_memory(), offset=0)]
    tables = [memory.images]
    if images is not None:
        tables.append(resolve_images(images))
        parts.append(gathered(classifier, source.of_images(tables[1]), offset=memory.n_images))
    compared = ComparedImages.of(tables, parts)
    limits = compared.limits(false_alarms)
    given = {"relative_distance": relative_distance, "cells": cells}
    limits |= {name: value for name, value in given.items() if value is not None}
    return _joined(memory, compared, limits, false_alarms)


def _joined(memory: Memory, compared: ComparedImages, limits: dict[str, float], rate: float) -> Audit:
    """Apply the limits, and return the audit."""
    tables, n = compared.tables, len(compared.classes)
    sets = tuple(
        name if split is None else f"{name}: {split}"
        for name, table in zip(("memory", "images"), tables, strict=False)
        for split in table.splits
    )
    pooled = compared.pooled.pairs(limits["relative_distance"])
    order = np.lexsort((pooled.second, pooled.first, pooled.relative))
    first, second = pooled.first[order], pooled.second[order]
    shared, near = compared.cells.first * n + compared.cells.second, first * n + second
    kept = compared.cells.select((compared.cells.cells >= limits["cells"]) & ~np.isin(shared, near))
    same = np.array(
        [compared.classes[a] == compared.classes[b] for a, b in zip(kept.first, kept.second, strict=True)],
        bool,
    )
    by_cells = np.lexsort((kept.second, kept.first, kept.distance, -kept.cells, same))
    return Audit(
        images=tuple(path for table in tables for path in table.paths), sets=sets, classes=compared.classes,
        readable=compared.readable, exact=compared.exact,
        near=NearPairs(
            first, second, pooled.distance[order], pooled.relative[order], compared.cells_of(near)
        ),
        patches=kept.select(by_cells), labels=compared.labels, other=compared.other,
        other_value=compared.other_value, limits=limits, rate=rate, skipped=compared.skipped,
        sources=tuple(tables), grid=memory.grid, transform=memory.settings.transform,
    )  # fmt: skip
