"""What callers give: rows as positions or as a mask, numbers, labels and arrays in their several forms."""

import inspect
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import hueprobe as hp
from hueprobe.arguments import as_array, as_count, as_names, as_rows, takes
from hueprobe.errors import HueprobeError, InputError, ShapeError
from hueprobe.exclusion import Exclusion
from hueprobe.observations import accuracy, conditional, energy, hue, locations, units, verdicts
from hueprobe.observations.accuracy import baselines
from hueprobe.search.exact.searcher import ExactSearcher
from hueprobe.studies.observing.settings import ObserveSettings
from tests.oracles import nearest
from tests.small_memories import noise


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    return hp.memory_from_arrays(tmp_path_factory.mktemp("m") / "a", noise(7), list("ababcbc"))


MASK = [False, False, True, True, False, True, True]
FORMS = [
    MASK, np.array(MASK), torch.tensor(MASK), pd.Series(MASK), tuple(MASK), [2, 3, 5, 6], [6, 5, 3, 2],
    np.array([2.0, 3.0, 5.0, 6.0]), torch.tensor([2, 3, 5, 6]), {2, 3, 5, 6},
]  # fmt: skip
NAMES = [f"{type(form).__name__}-{i}" for i, form in enumerate(FORMS)]


@pytest.mark.parametrize("form", FORMS, ids=NAMES)
def test_rows_are_those_of_the_mask_wherever_rows_are_taken(memory, form):
    rows = np.array([2, 3, 5, 6])
    assert hp.KernelDensityClassifier(memory, k=2, images=form).leave_one_out().rows.tolist() == [2, 3, 5, 6]
    query = memory.vectors(np.array([0]))
    alone = hp.open_searcher(memory, images=form).search(query, 100).ids
    assert sorted(set((alone[alone >= 0] // 6).tolist())) == [2, 3, 5, 6]
    assert sorted(set(ExactSearcher(memory, images=form)._ids // 6)) == [2, 3, 5, 6]
    np.testing.assert_array_equal(
        np.sort(memory.image_vectors(form), axis=0), np.sort(memory.image_vectors(rows), axis=0)
    )
    assert memory.class_counts(form).tolist() == [6, 12, 12 - 6]
    exclusion = Exclusion(memory, "image", images=form)
    assert sum(map(exclusion.knows, memory.sha256)) == 4


def test_vector_ids_may_be_a_mask_of_all(memory):
    mask = np.zeros(memory.n_slots, bool)
    mask[[3, 40]] = True
    np.testing.assert_array_equal(memory.vectors(mask), memory.vectors(np.array([3, 40])))
    np.testing.assert_array_equal(memory.raw(mask.tolist()), memory.raw([3, 40]))


@pytest.mark.parametrize("spec", ["exact", "faiss:Flat"])
def test_exclusions_may_be_a_mask_of_queries_by_images(memory, spec):
    rng = np.random.default_rng(0)
    queries, mask = memory.vectors(np.arange(5)), rng.random((5, 7)) < 0.5
    found = hp.open_searcher(memory, spec).search(queries, 30, exclude_images=mask)
    stored = memory.vectors(np.arange(memory.n_slots))
    ids, _ = nearest(queries, stored, 30, np.repeat(~mask, 6, axis=1))
    np.testing.assert_array_equal(found.ids, ids)
    nobody = hp.open_searcher(memory, spec).search(queries, 3, exclude_images=np.zeros((5, 7), bool))
    np.testing.assert_array_equal(nobody.ids, hp.open_searcher(memory, spec).search(queries, 3).ids)
    with pytest.raises(ShapeError, match=r"mask of shape \(5, 4\), 7 images need \(5, 7\)"):
        hp.open_searcher(memory, spec).search(queries, 3, exclude_images=np.zeros((5, 4), bool))
    with pytest.raises(InputError, match="exclude_images holds numbers that are not whole"):
        hp.open_searcher(memory, spec).search(queries, 3, exclude_images=np.full((5, 1), 0.5))


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_a_mask_and_its_positions_are_the_same_rows(mask):
    positions = [i for i, wanted in enumerate(mask) if wanted]
    assert as_rows("rows", mask, len(mask)).tolist() == positions
    assert as_rows("rows", positions, len(mask)).tolist() == positions
    assert as_rows("rows", torch.tensor(mask), len(mask)).tolist() == positions


@pytest.mark.parametrize(
    "rows, said",
    [
        ([], "selects no row"),
        ([False] * 7, "selects no row"),
        ([True] * 6, r"mask of shape \(6,\), but there are 7"),
        ([[True] * 7], r"mask of shape \(1, 7\)"),
        ([7], "holds 7; valid values are 0 to 6"),
        ([0, -1], "holds -1; valid values are 0 to 6"),
        ([0.5], "not whole"),
        ([np.nan], "not whole"),
        (["a"], "not an array of real numbers"),
        ([None], "not an array of real numbers"),
        ([[1, 2], [3]], "not an array of numbers"),
        ([[1, 2]], r"shape \(1, 2\)"),
    ],
)
def test_rows_that_mean_nothing_are_refused(memory, rows, said):
    with pytest.raises(HueprobeError, match=f"images .*{said}"):
        hp.KernelDensityClassifier(memory, images=rows)


@pytest.mark.parametrize("k", [3, 3.0, np.int8(3), np.float32(3), np.array(3), torch.tensor(3)])
def test_a_whole_k_is_taken_in_every_form(memory, k):
    plain = hp.KernelDensityClassifier(memory, k=3).leave_one_out()
    found = hp.KernelDensityClassifier(memory, k=k).leave_one_out()
    np.testing.assert_array_equal(found.likelihood, plain.likelihood)
    query = memory.vectors(np.arange(2))
    for spec in ("exact", "faiss:Flat", "annoy:trees=2"):
        assert hp.open_searcher(memory, spec).search(query, k).ids.shape == (2, 3)


@pytest.mark.parametrize("k", [3.5, np.nan, np.inf, True, "3", None, [3], Decimal("3.5"), 1j, 0, -1.0])
def test_a_k_that_is_none_is_refused_in_a_sentence(memory, k):
    for use in (
        lambda: hp.KernelDensityClassifier(memory, k=k),
        lambda: hp.open_searcher(memory).search(memory.vectors(np.arange(2)), k),
        lambda: ObserveSettings(k=k),
        lambda: as_count("k", k),
    ):
        with pytest.raises(InputError, match=r"^k must be (a whole number, at least 1|at least 1), got "):
            use()


@pytest.mark.parametrize(
    "labels, names",
    [
        ([0, 1, 0, 10], ["0", "1", "0", "10"]),
        (np.array([0, 1, 0, 10], np.uint8), ["0", "1", "0", "10"]),
        (torch.tensor([0, 1, 0, 10]), ["0", "1", "0", "10"]),
        ([torch.tensor(0), np.int64(1), 0.0, 10], ["0", "1", "0", "10"]),
        (pd.Series([0, 1, None, 10]), ["0", "1", None, "10"]),
        (pd.Series(["a", None, pd.NA, "b"]), ["a", None, None, "b"]),
        (pd.Categorical(["a", "b", None, "a"]), ["a", "b", None, "a"]),
        (np.array(["a", "b", "a", "c"]), ["a", "b", "a", "c"]),
        (["a", np.nan, pd.NaT, np.str_("b")], ["a", None, None, "b"]),
        (iter("abab"), ["a", "b", "a", "b"]),
    ],
)
def test_labels_become_names(tmp_path, labels, names):
    memory = hp.memory_from_arrays(tmp_path / "m", noise(4), labels)
    assert list(memory.images.classes) == names
    assert memory.classes == tuple(sorted({name for name in names if name}))
    queries = hp.KernelDensityClassifier(memory, k=1)
    assert queries.classify_activations(noise(4), classes=names, groups=names).true_class == tuple(names)


@pytest.mark.parametrize(
    "labels, said",
    [
        ([0.5, 1, 0, 1], "classes hold 0.5 at position 0; give a name, a whole number or None"),
        ([np.inf, 1, 0, 1], "classes hold inf at position 0"),
        ([True, False, True, False], "classes hold True at position 0"),
        (["a", b"b", "c", "d"], "classes hold b'b' at position 1"),
        (["a", ["b"], "c", "d"], r"classes hold \['b'\] at position 1"),
        (["1", 1, "c", "d"], "classes hold 1 as a number and as a string"),
        (np.eye(4), r"classes have shape \(4, 4\); give a list"),
        (torch.eye(4), r"classes have shape \(4, 4\); give a list"),
        ("abab", "classes is 'abab'; give a list with one for each image"),
        ({"a": 1}, "classes is {'a': 1}; give a list"),
        (3, "classes is 3; give a list"),
        ([0, 1], "2 classes for 4 activation arrays; give one per array"),
    ],
)
def test_labels_that_are_no_names_are_refused(tmp_path, labels, said):
    with pytest.raises(HueprobeError, match=said):
        hp.memory_from_arrays(tmp_path / "m", noise(4), labels)
    assert not (tmp_path / "m").exists()


def test_none_and_the_text_none_are_two_things():
    assert as_names("classes", ["None", None]) == ("None", None)


def test_activations_are_taken_as_arrays_tensors_and_one_alone(memory):
    classifier = hp.KernelDensityClassifier(memory, k=2)
    values = noise(3, seed=4)
    plain = classifier.classify_activations(values)
    tensor = torch.tensor(values)
    for form in (tensor, torch.tensor(values, requires_grad=True), list(tensor), values.astype(float)):
        found = classifier.classify_activations(form)
        np.testing.assert_array_equal(found.likelihood, plain.likelihood)
    rough = tensor.to(torch.bfloat16).requires_grad_()
    np.testing.assert_array_equal(
        classifier.classify_activations(rough).likelihood,
        classifier.classify_activations(rough.detach().float().numpy()).likelihood,
    )
    one = classifier.classify_activations(values[0])
    assert len(one) == 1
    np.testing.assert_array_equal(one.likelihood, plain.likelihood[:1])
    assert as_array("x", torch.tensor([1.5], dtype=torch.bfloat16)).dtype == np.float32


@pytest.mark.parametrize("given", [np.zeros((4, 6)), 3.0, "abc", [["a"]], [None], np.zeros(2) + 1j, {}])
def test_activations_that_are_none_are_refused(memory, tmp_path, given):
    with pytest.raises(HueprobeError, match=r"^activations "):
        hp.KernelDensityClassifier(memory).classify_activations(given)
    with pytest.raises(HueprobeError, match=r"^activations "):
        hp.memory_from_arrays(tmp_path / "m", given)


def public_calls():
    modules = [hp.plots, accuracy, baselines, conditional, energy, hue, locations, units, verdicts]
    for module in modules:
        for name in getattr(module, "__all__", None) or ["measure", "majority_vote", "kernel_vote", "tune_k"]:
            function = getattr(module, name, None)
            if inspect.isfunction(function) and name not in ("visible_box", "default_blocks"):
                yield pytest.param(function, id=f"{module.__name__.rpartition('.')[2]}.{name}")


@pytest.mark.parametrize("function", list(public_calls()))
@pytest.mark.parametrize("given", [None, 3, "text", {"a": 3}, [3]], ids=repr)
def test_what_is_no_result_is_refused_in_a_sentence(function, given):
    first, *others = inspect.signature(function).parameters.values()
    needed = {p.name: 0 for p in others if p.default is p.empty}
    if isinstance(given, str) and first.annotation is str:
        return
    with pytest.raises(HueprobeError) as refused:
        function(given, **needed)
    named = tuple(f"{name}{after}" for name in (first.name, *needed) for after in " [")
    assert str(refused.value).startswith((*named, type(given).__name__)), refused.value
    if function is not hp.plots.figures:  # chosen by the class of what stands first
        with pytest.raises(HueprobeError):
            function(**{first.name: given}, **needed)


def test_one_energy_result_is_drawn_and_one_map_measured(memory):
    found = energy.measure(memory.energy(), memory.grid)
    (ax,) = [ax for ax in hp.plots.energy_maps(found).axes if ax.images]
    np.testing.assert_array_equal(ax.images[0].get_array(), found.mean_map)
    one = energy.measure(memory.energy()[0], memory.grid)
    np.testing.assert_array_equal(one.mean_map, energy.measure(memory.energy()[:1], memory.grid).mean_map)
    np.testing.assert_array_equal(
        energy.measure(torch.tensor(memory.energy(), requires_grad=True), memory.grid).mean_map,
        found.mean_map,
    )


def test_takes_keeps_name_text_and_signature():
    @takes(int, several=True)
    def total(numbers: list[int], *, more: int = 0) -> int:
        """Add up."""
        return int(sum(numbers)) + more

    assert total.__name__ == "total" and total.__doc__ == "Add up."
    assert list(inspect.signature(total).parameters) == ["numbers", "more"]
    assert total([1, 2], more=3) == 6 and total(numbers=(1, 2)) == 3 and total(5) == 5 and total([]) == 0
    with pytest.raises(InputError, match=r"numbers\[1\] is a str; give a int"):
        total([1, "2"])
    with pytest.raises(TypeError, match="numbers"):
        total()  # type: ignore[call-arg]
