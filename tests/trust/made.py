"""Classifications with likelihoods that a test chooses."""

from dataclasses import replace

import numpy as np

from hueprobe.classification import Classification, Sources
from hueprobe.density import decide
from hueprobe.images.table import ImageTable


def classification(likelihood, true=None, *, groups=None, names=None, root="", n_matches=100, lone=None):
    """Return a classification of images with these normalized likelihoods; classes are "c0", "c1", ..."""
    likelihood = np.array(likelihood, float)
    n, n_classes = likelihood.shape
    true = tuple(None if t is None else f"c{t}" for t in ([None] * n if true is None else true))
    names = tuple(f"image{i}" for i in range(n)) if names is None else tuple(names)
    decision = decide(likelihood)
    made = Classification(
        classes=tuple(f"c{c}" for c in range(n_classes)), images=names, rows=np.arange(n), true_class=true,
        predicted=decision.predicted, tie=decision.tie, likelihood=decision.normalized,
        unnormalized=likelihood, n_matches=np.full(n, n_matches), matches=None, skipped=(), duplicates=(),
        seconds={"extract": 0.0, "search": 0.0, "density": 0.0},
        lone=None if lone is None else np.array(lone),
    )  # fmt: skip
    if groups is None and not root:
        return made
    table = ImageTable(
        paths=names, roots=(root,) * n, classes=true, splits=(None,) * n,
        groups=(None,) * n if groups is None else tuple(groups), sizes=(0,) * n,
    )  # fmt: skip
    return replace(made, sources=Sources(table, None))
