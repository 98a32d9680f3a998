import numpy as np
import pytest

from hueprobe.classification import Classification
from hueprobe.errors import InputError, ShapeError
from hueprobe.observations.accuracy.grid import AccuracyGrid, AccuracyRun, accuracy_run


def run_of(descriptor="pixel", right=(True, True, False), **changes):
    fields = {
        "network": "resnet50", "descriptor": descriptor, "task": "textures", "classifier": "kernel density",
        "images": ("a", "b", "c"), "groups": (None, None, None), "right": right, "held_out": True, **changes,
    }  # fmt: skip
    return AccuracyRun(**fields)


def test_numbers_of_a_run():
    row = run_of().row()
    assert row["accuracy"] == pytest.approx(2 / 3) and row["n"] == 3
    assert row["low"] == pytest.approx(0.2077, abs=1e-4) and row["high"] == pytest.approx(0.9385, abs=1e-4)


def test_runs_refuse_what_does_not_fit():
    with pytest.raises(ShapeError, match="3 images, 3 groups and 2 answers"):
        run_of(right=(True, False))
    with pytest.raises(InputError, match="no labeled image"):
        run_of(images=(), groups=(), right=())


def test_comparisons_are_with_all_others_of_network_and_task():
    grid = AccuracyGrid(
        (
            run_of(),
            run_of("gap", (False, True, False)),
            run_of("pixel", (True, True, True), classifier="majority vote"),
            run_of("gap", task="dogs"),
            run_of("gap", network="vgg16"),
        )
    )
    found = grid.comparisons("resnet50", "textures")
    assert [(c.first, c.second) for c in found] == [("pixel", "gap"), ("pixel", "pixel, majority vote")]
    assert [(c.only_first, c.only_second) for c in found] == [(1, 0), (0, 1)]
    assert len(grid.rows()) == 5
    with pytest.raises(InputError, match="there are: resnet50 / gap / dogs"):
        grid.run("resnet50", "pixel", "dogs")


def test_grids_refuse_twins_and_other_images():
    with pytest.raises(InputError, match="is given twice"):
        AccuracyGrid((run_of(), run_of()))
    grid = AccuracyGrid((run_of(), run_of("gap", images=("a", "c", "b"))))
    with pytest.raises(InputError, match="same images"):
        grid.comparisons("resnet50", "textures")


def test_a_run_of_a_classification_leaves_out_what_cannot_be_right():
    result = Classification(
        classes=("u", "v"), images=("a", "b", "c", "d"), rows=np.arange(4),
        true_class=("v", None, "unknown", "u"), predicted=np.array([1, 0, 1, -1]), tie=np.zeros(4, bool),
        likelihood=np.zeros((4, 2)), unnormalized=np.zeros((4, 2)), n_matches=np.zeros(4, int), matches=None,
        skipped=(), duplicates=(), seconds={},
    )  # fmt: skip
    names = {"network": "n", "descriptor": "gap", "task": "t"}
    found = accuracy_run(result, groups=("g", "h", None, None), **names)
    assert found.images == ("a", "d") and found.right == (True, False) and found.groups == ("g", None)
    other = accuracy_run(result, predicted=[0, 0, 0, 0], classifier="nearest centroid", **names)
    assert other.right == (False, True) and other.classifier == "nearest centroid"
    with pytest.raises(ShapeError, match="3 predictions"):
        accuracy_run(result, predicted=[0, 0, 0], **names)
