"""A classification shows itself, becomes a table, and is saved and loaded."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

import hueprobe as hp
from hueprobe.classification import Classification
from hueprobe.errors import InputError
from hueprobe.search import Neighbors


@pytest.fixture(scope="module")
def result(small_memory):
    memory = small_memory(n=12, channels=5, classes=["<b>", "b", None])
    return hp.KernelDensityClassifier(memory, k=3).leave_one_out()


def test_it_says_in_a_line_what_it_is(result):
    right = sum(a == b for a, b in zip(result.true_class, result.predicted_class, strict=True) if a)
    assert repr(result) == (
        f"Classification(12 images, 2 classes, {right} of 8 labeled images right, 0 ties, 0 skipped, "
        f"{12 * 6 * 3} matches)"
    )
    assert "no match table" in repr(replace(result, matches=None))
    assert repr(result.matches) == (
        "Matches(216 matches, 12 query images on 2x3 cells, 12 memory images on 2x3 cells, 2 classes)"
    )
    assert repr(Neighbors(np.array([[3, -1]]), np.zeros((1, 2)))) == "Neighbors(1 queries, k=2, 1 missing)"


def test_a_notebook_shows_the_first_images_and_no_markup_of_theirs(result):
    shown = result._repr_html_()
    assert shown.count("<tr>") == 1 + 10 and "(2 more)" in shown
    assert "&lt;b&gt;" in shown and "<b>" not in shown
    best = result.classes[result.likelihood[0].argmax()].replace("<", "&lt;").replace(">", "&gt;")
    assert f"<td>{best} {result.likelihood[0].max():.3f}, " in shown
    shown = result.matches._repr_html_()
    assert shown.count("<tr>") == 1 + 10 and "the first 10 of 216" in shown and "<b>" not in shown
    assert "the first 0 of 0" in result.matches.select(np.zeros(0, int))._repr_html_()


def test_a_data_frame_has_a_row_an_image(result):
    pytest.importorskip("pandas")
    frame = result.to_pandas()
    assert list(frame.columns)[:5] == ["image", "class", "predicted", "tie", "n_matches"]
    assert frame["predicted"].tolist() == list(result.predicted_class)
    likelihood = frame[[f"likelihood: {name}" for name in result.classes]].to_numpy()
    np.testing.assert_array_equal(likelihood, result.likelihood)


def test_what_is_saved_is_loaded_but_for_the_matches(result, tmp_path):
    one = replace(result, skipped=(("x.png", "torn"),), duplicates=("y.png",))
    one.save(tmp_path / "c.json")
    found = Classification.load(tmp_path / "c.json")
    assert found.matches is None and found.energy is None and found.sources is None
    for name in {field.name for field in fields(one)} - {"matches", "energy", "sources"}:
        saved, loaded = getattr(one, name), getattr(found, name)
        assert type(saved) is type(loaded)
        if isinstance(saved, np.ndarray):
            assert saved.dtype == loaded.dtype
        assert np.array_equal(saved, loaded), name


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"rows": [1]}, {"images": 3}, {"classes": list("abcde")}, {"class_counts": [[1]]}],
)
def test_a_file_that_is_none_is_refused(result, tmp_path, change):
    result.save(tmp_path / "c.json")
    document = json.loads((tmp_path / "c.json").read_bytes())
    (tmp_path / "c.json").write_text(json.dumps({**document, **change}))
    with pytest.raises(InputError, match=r"c\.json holds"):
        Classification.load(tmp_path / "c.json")
    with pytest.raises(InputError, match="No such file"):
        Classification.load(tmp_path / "none.json")


def test_nothing_is_not_joined():
    with pytest.raises(InputError, match="at least one"):
        Classification.concatenate([])
