"""Classification by a merged match table: Eq. (1) and (2) without another search."""

import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from hueprobe.classification import Classification, Sources, lone_images
from hueprobe.density import decide, likelihoods
from hueprobe.errors import InputError
from hueprobe.match_files import read_match_groups, read_match_metadata
from hueprobe.match_images import MatchImages, images_from_json
from hueprobe.match_reading import IMAGES_KEY, NUMBERS, numbers_of
from hueprobe.matches import Matches
from hueprobe.memory.store import Memory
from hueprobe.scale.search_facts import Matchable, facts_of


def classify_matches(
    path: str | Path, memory: Memory | None = None, *, keep_matches: bool = True
) -> Classification:
    """Classify the query images of a merged match table, without another search.

    The result is that of `KernelDensityClassifier` with the whole memory: same likelihoods, predictions and
    n_C.

    Parameters
    ----------
    path : path
        A .parquet or .arrow file of `merge_matches`.
    memory : Memory, optional
        The memory that was searched. It is only compared with the table, and kept as the source of the images
        in leave-one-out.
    keep_matches : bool, default=True
        Whether the result carries the match table. Without it, RAM holds a few images' matches at a time.

    Returns
    -------
    Classification
        `energy` is None, and `sources` is None except in leave-one-out with a memory.

    Raises
    ------
    InputError
        The file is damaged, is one part only, does not say how it was searched, or was searched in another
        memory.

    See Also
    --------
    hueprobe.merge_matches : Makes the table.
    hueprobe.observations.accuracy.evaluate : Compares the predictions with the true classes.

    Examples
    --------
    >>> searched = hp.search_part("part.arrow", memory, part="1/1", k=5)
    >>> facts = hp.merge_matches(["part.arrow"], "matches.parquet")
    >>> found = hp.scale.classify_matches("matches.parquet", memory)
    >>> np.array_equal(found.unnormalized, result.unnormalized)
    True
    """
    return Classification.concatenate(classify_matches_batches(path, memory), keep_matches=keep_matches)


def classify_matches_batches(path: str | Path, memory: Memory | None = None) -> Iterator[Classification]:
    """Classify the query images of a merged match table some images at a time.

    Parameters
    ----------
    path : path
        A .parquet or .arrow file of `merge_matches`.
    memory : Memory, optional
        The memory that was searched; see `classify_matches`.

    Yields
    ------
    Classification
        Consecutive images, with their match table.

    See Also
    --------
    hueprobe.Classification.concatenate : Join the batches.

    Examples
    --------
    >>> searched = hp.search_part("part.arrow", memory, part="1/1", k=5)
    >>> facts = hp.merge_matches(["part.arrow"], "matches.parquet")
    >>> sum(len(batch) for batch in hp.scale.classify_matches_batches("matches.parquet"))
    12
    """
    metadata = read_match_metadata(path)
    facts = facts_of(metadata, str(path))
    if memory is not None:
        facts.require_memory(memory, str(path))
    if IMAGES_KEY not in metadata:
        raise InputError(f"{path} holds no image tables; merge the parts again")
    images = images_from_json(metadata[IMAGES_KEY], str(path))
    sources = Sources(memory.images, memory) if memory is not None and facts.leave_one_out else None
    matchable = Matchable.of(facts)
    n_classes = len(facts.class_counts)
    named = max(images.image_class.max(initial=-1), matchable.barred[:, 1].max(initial=-1))
    if not named < n_classes <= len(images.classes):
        raise InputError(f"facts and image tables of {path} do not fit together; merge the parts again")
    readable = np.setdiff1d(np.arange(len(images.query_paths)), np.array(facts.unreadable, np.int64))
    done = 0  # images of `readable`
    for rows, stop in _whole_images(path, images):
        n = len(readable) if stop is None else int(np.searchsorted(readable, stop))
        batch = readable[done:n]
        if not np.isin(rows["query_image"], batch).all():
            raise InputError(
                f"{path} holds rows of query images that could not be read; merge the parts again"
            )
        if len(batch) or (stop is None and not done):
            result = _classified(rows, batch, images, matchable.counts(batch))
            yield replace(
                result, sources=sources, skipped=() if done else tuple(facts.skipped),
                duplicates=() if done else tuple(facts.duplicates),
            )  # fmt: skip
        done = n


def _whole_images(
    path: str | Path, images: MatchImages
) -> Iterator[tuple[dict[str, np.ndarray], int | None]]:
    """Yield rows of whole query images, and the image that follows them; None behind the last."""
    held: dict[str, np.ndarray] = {name: np.empty(0, kind) for name, (kind, _) in NUMBERS.items()}
    limits = {
        "query_image": len(images.query_paths),
        "query_y": images.query_grid.height,
        "query_x": images.query_grid.width,
        "image": len(images.image_paths),
        "y": images.grid.height,
        "x": images.grid.width,
    }
    for table in read_match_groups(path, tuple(NUMBERS)):
        rows = numbers_of(table, str(path))
        for name, limit in limits.items():
            if (most := int(rows[name].max(initial=-1))) >= limit:
                raise InputError(
                    f"column {name} of {path} holds {most}, but its image tables allow at most {limit - 1}; "
                    "merge the parts again"
                )
        held = {name: np.concatenate([values, rows[name]]) for name, values in held.items()}
        query_image = held["query_image"]
        if (np.diff(query_image) < 0).any():
            raise InputError(f"rows of {path} are not in the order of query images; merge the parts again")
        if len(query_image):
            last = int(query_image[-1])
            cut = int(np.searchsorted(query_image, last))
            yield {name: values[:cut] for name, values in held.items()}, last
            held = {name: values[cut:] for name, values in held.items()}
    yield held, None


def _classified(
    rows: dict[str, Any], batch: np.ndarray, images: MatchImages, counts: np.ndarray
) -> Classification:
    """Classify some query images by all of their matches."""
    started = time.perf_counter()
    classes = images.classes[: counts.shape[1]]
    place = np.searchsorted(batch, rows["query_image"])
    match_class = images.image_class[rows["image"]]
    unnormalized = likelihoods(rows["weight"][:, None], match_class[:, None], place, counts)
    decision = decide(unnormalized)
    true = images.query_image_class[batch].tolist()
    true_class = tuple(images.classes[number] if number >= 0 else None for number in true)
    tables: dict[str, Any] = {field.name: getattr(images, field.name) for field in fields(MatchImages)}
    return Classification(
        classes=classes,
        images=tuple(images.query_paths[row] for row in batch.tolist()),
        rows=batch,
        true_class=true_class,
        predicted=decision.predicted,
        tie=decision.tie,
        likelihood=decision.normalized,
        unnormalized=unnormalized,
        n_matches=np.bincount(place, minlength=len(batch)).astype(np.int64),
        matches=Matches(**tables, **rows),
        skipped=(),
        duplicates=(),
        seconds={"extract": 0.0, "search": 0.0, "density": time.perf_counter() - started},
        lone=lone_images(true_class, classes, counts),
        class_counts=counts,
    )
