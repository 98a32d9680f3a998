"""What cannot be measured on a memory, told from its labels and its grid before anything is searched."""

import numpy as np

from hueprobe.exclusion import Exclusion
from hueprobe.observations.table import OBSERVATIONS
from hueprobe.stats.intervals import unit_codes
from hueprobe.studies.observing.subject import Subject


def cannot_measure(subject: Subject) -> dict[str, str]:
    """Return the reason for each observation that cannot be measured at all, by its name.

    What is not among them may still turn out so once it is measured.

    Parameters
    ----------
    subject : Subject
    """
    memory = subject.memory
    if memory is None:
        needing = [observation.name for observation in OBSERVATIONS if observation.needs_memory]
        return dict.fromkeys(needing, "needs the memory itself; a table of matches does not hold it")
    reasons: dict[str, str] = {}
    if memory.grid.n_cells == 1:
        one = "a 1x1 grid has no places; give a 'pixel' memory of a layer with more cells"
        reasons |= dict.fromkeys(("energy", "locations", "conditional", "hue"), one)
    if subject.images is None and (alone := _nothing_to_match(subject)):
        reasons = {**dict.fromkeys(("accuracy", "locations", "conditional", "hue"), alone), **reasons}
    for name, reason in (("accuracy", _no_accuracy(subject)), ("hue", _no_hue(subject))):
        if reason and name not in reasons:
            reasons[name] = reason
    return reasons


def measured_in_part(subject: Subject) -> dict[str, str]:
    """Return what of an observation cannot be told, though the rest of it can be measured, by its name.

    Parameters
    ----------
    subject : Subject
    """
    memory = subject.memory
    if memory is None or subject.images is not None:
        return {}
    parts: dict[str, str] = {}
    lone = int(subject.lone.sum())
    labels = _labels(subject)
    if not (labels >= 0).any():
        parts |= dict.fromkeys(
            ("locations", "conditional"),
            "no image has a class, so matches are measured all together, not same-class and other-class ones",
        )
    elif lone == (labels >= 0).sum():
        parts |= dict.fromkeys(
            ("locations", "conditional"),
            f"each of {lone} images is alone in its class, so there are no same-class matches to measure",
        )
    elif len(np.unique(labels[labels >= 0])) == 1:
        parts |= dict.fromkeys(
            ("locations", "conditional"), "there is one class, so there are no other-class matches to measure"
        )
    if 0 < lone < (labels >= 0).sum():
        those = "1 image is alone in its" if lone == 1 else f"{lone} images are alone in their"
        parts["accuracy"] = f"{those} class (group), so left out: the accuracy is of the others"
    return parts


def _labels(subject: Subject) -> np.ndarray:
    """Class of each image in use, -1 for none, (n_images,)."""
    labels = subject.known_memory.image_class.copy()
    if subject.rows is not None:
        labels[np.setdiff1d(np.arange(len(labels)), subject.rows)] = -1
    return labels


def _nothing_to_match(subject: Subject) -> str:
    memory = subject.known_memory
    rows = np.flatnonzero(memory.valid_per_image > 0)
    rows = rows if subject.rows is None else np.intersect1d(rows, subject.rows)
    exclusion = Exclusion(memory, subject.settings.exclude, images=subject.rows)
    if any(len(np.setdiff1d(rows, exclusion.of_row(int(row)))) for row in rows):
        return ""
    return (
        f"no image has another to match under exclude={subject.settings.exclude!r}; give a memory with more"
    )


def _no_accuracy(subject: Subject) -> str:
    memory = subject.known_memory
    labels = _labels(subject)
    if memory.settings.descriptor != "pixel":
        return f"needs a 'pixel' memory, this one holds {memory.settings.descriptor!r} descriptors"
    if len(memory.classes) < 2:
        return f"the memory has {len(memory.classes) or 'no'} class{'' if memory.classes else 'es'}; needs 2"
    if subject.images is None and (n := int(subject.lone.sum())) == (labels >= 0).sum():
        return f"each of {n} images is alone in its class, so none can be right; give classes of two or more"
    return ""


def _no_hue(subject: Subject) -> str:
    memory = subject.known_memory
    if not subject.is_whole:
        return "measured on the memory's own images, each left out in turn, and on all of them"
    if memory.n_channels < 3:
        return f"needs at least 3 channels, the memory has {memory.n_channels}"
    labels = np.where(memory.valid_per_image > 0, memory.image_class, -1)
    units = unit_codes(memory.images.groups, len(labels))
    several = [name for c, name in enumerate(memory.classes) if len(np.unique(units[labels == c])) > 1]
    if len(several) < 2:
        return (
            f"{len(several)} of {len(memory.classes)} classes have two images (groups) with activations, and "
            "accuracy by hue needs two such classes; label more images"
        )
    return ""
