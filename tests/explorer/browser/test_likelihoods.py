"""Eq. 1-3 in the page equal those of the library, also with cells and classes taken out."""

import re
from pathlib import Path

import numpy as np
import pytest

import hueprobe.explorer.page_file as page_file
from hueprobe.density import decide, kernel_weights
from hueprobe.density import likelihoods as eq2
from hueprobe.observations.accuracy import query_votes
from tests.explorer.browser.conftest import K
from tests.explorer.browser.screen import likelihoods

NONE = 0xFFFFFFFF


def without(explored, row, cells=(), classes=()):
    """Likelihoods of an image without the votes of some cells and of some classes."""
    matches = explored.matches.select(explored.matches.query_image == explored.result.rows[row])
    kept = ~np.isin(matches.query_cell, cells) & ~np.isin(matches.match_class, classes)
    matches = matches.select(kept)
    counts = explored.result.class_counts[row][None]
    found = eq2(matches.weight[:, None], matches.match_class[:, None], np.zeros(len(matches), int), counts)
    return decide(found)


@pytest.mark.parametrize(
    "row, cells, classes",
    [(0, (), ()), (0, (0, 7, 35), ()), (3, (), (1,)), (9, (1, 2), (0,)), (9, tuple(range(36)), ())],
)
def test_likelihoods_without_cells_and_classes_equal_the_library_s(tab, explored, row, cells, classes):
    parts = [f"#q={row}"]
    parts += [f"off={','.join(map(str, cells))}"] * bool(cells) + [
        f"no={','.join(map(str, classes))}"
    ] * bool(classes)
    page = tab(explored.path, "&".join(parts))
    expected = without(explored, row, cells, classes)
    found = likelihoods(page)
    np.testing.assert_allclose([found[c] for c in sorted(found)], expected.normalized[0], atol=1e-6)
    name = "no class" if expected.predicted[0] < 0 else explored.memory.classes[expected.predicted[0]]
    assert page.locator(".likelihoods .decision strong").inner_text() == name


def test_taking_out_by_hand_and_putting_back(tab, explored):
    page = tab(explored.path, "#q=2&c=9")
    page.get_by_role("button", name="Take this cell out").click()
    page.get_by_role("button", name=f"take out the votes for {explored.memory.classes[2]}").click()
    found = likelihoods(page)
    np.testing.assert_allclose(
        [found[c] for c in sorted(found)], without(explored, 2, (9,), (2,)).normalized[0], atol=1e-6
    )
    page.get_by_role("button", name="put all back").click()
    found = likelihoods(page)
    np.testing.assert_allclose([found[c] for c in sorted(found)], explored.result.likelihood[2], atol=1e-6)


def test_votes_of_the_cells_equal_the_library_s(tab, explored):
    page = tab(explored.path, "#q=5")
    votes = query_votes(explored.result, 5)
    told = page.locator(".query .cell").evaluate_all("all => all.map(one => one.getAttribute('aria-label'))")
    names = [explored.memory.classes[c] for c in votes.leading.ravel()]
    expected = [
        f"{name} has {100 * share:.0f} %" for name, share in zip(names, votes.share.ravel(), strict=True)
    ]
    assert len(told) == len(expected)
    for label, part in zip(told, expected, strict=True):
        assert part in label


@pytest.fixture
def equations(chromium):
    """The functions of equations.js, on an empty page."""
    code = (Path(page_file.__file__).parent / "page" / "equations.js").read_text(encoding="utf-8")
    code = re.sub("^export ", "", code, flags=re.MULTILINE)
    context = chromium.new_context()
    page = context.new_page()
    yield lambda expression, **given: page.evaluate(f"given => {{ {code}\nreturn {expression}; }}", given)
    context.close()


@pytest.mark.parametrize("eps", [1e-6, 0.0, 0.5])
def test_equations_equal_the_library_s_on_hard_cases(equations, eps):
    rng = np.random.default_rng(3)
    n_cells, n_classes = 60, 6
    distance = np.sort(rng.uniform(0, 1.4, (n_cells, K)), axis=1)
    distance[:8, 0] = 0  # duplicates
    distance[4:8, 1] = 0
    classes = rng.integers(-1, n_classes - 1, (n_cells, K))  # the last class gets no vote
    missing = np.arange(K) >= rng.integers(0, K + 4, n_cells)[:, None]
    counts = np.array([[40, 3, 0, 7, 100, 5]])  # nothing of class 2 may be matched
    ids = np.where(missing, NONE, 1)
    weights = kernel_weights(np.where(missing, np.inf, distance), eps=eps)
    classes[missing] = -1
    found = equations(
        "Array.from(kernelWeights(given.distance, given.ids, given.k, given.eps, given.none))",
        distance=np.where(missing, 0, distance).ravel().tolist(),
        ids=ids.ravel().tolist(),
        k=K,
        eps=eps,
        none=NONE,
    )
    np.testing.assert_allclose(found, weights.ravel(), atol=1e-14)
    expected = eq2(weights, classes, np.zeros(n_cells, int), counts)
    given = {"weights": found, "classes": classes.ravel().tolist(), "k": K, "counts": counts[0].tolist()}
    likelihood = equations(
        "Array.from(likelihoods(given.weights, given.classes, given.k, given.counts, new Set(), new Set()))",
        **given,
    )
    np.testing.assert_allclose(likelihood, expected[0], rtol=1e-12, atol=1e-300)
    decision = equations(
        "(d => ({...d, normalized: Array.from(d.normalized)}))(decide(given.values))", values=likelihood
    )
    wanted = decide(expected)
    assert (decision["predicted"], decision["tie"]) == (wanted.predicted[0], wanted.tie[0])
    np.testing.assert_allclose(decision["normalized"], wanted.normalized[0], atol=1e-14)


@pytest.mark.parametrize(
    "values", [[0.1, 0.3, 0.3], [0.0, 0.0], [0.2, 0.2 * (1 + 1e-13)], [0.2, 0.2 * (1 + 1e-9)], [5.0]]
)
def test_ties_and_no_votes_are_decided_as_in_the_library(equations, values):
    found = equations("(d => [d.predicted, d.tie])(decide(given.values))", values=values)
    expected = decide(np.array([values]))
    assert found == [expected.predicted[0], expected.tie[0]]
