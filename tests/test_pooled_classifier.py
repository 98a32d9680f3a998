"""Hull, centroid and plain neighbors on pooled memories, against loops."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import hueprobe as hp
from hueprobe.cli import main
from hueprobe.errors import InputError
from hueprobe.stats.hulls import hull_distances

CLASSES = [*"aaaaaabbbbbbcccccc"]


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(3, 8))
    activations = np.repeat(centers, 6, 0) + 0.7 * rng.normal(size=(18, 8))
    activations[4] = 0  # a zero vector has no place
    path = tmp_path_factory.mktemp("memory") / "gap.memory"
    return hp.memory_from_arrays(path, activations[:, :, None, None].astype(np.float32), CLASSES)


def queries():
    return np.random.default_rng(1).normal(size=(7, 8, 1, 1)).astype(np.float32)


def expected(memory, rule, k, vectors, left_out=None):
    """Predicted class ids, one image and one class after the other."""
    held = memory.image_vectors(np.arange(18))[:, 0].astype(float)
    answers = []
    for i, vector in enumerate(vectors):
        usable = [r for r in range(18) if r != 4 and (left_out is None or r != left_out[i])]
        by_distance = sorted(usable, key=lambda r: np.linalg.norm(held[r] - vector))
        if rule == "knn":
            votes = np.bincount(memory.image_class[by_distance[:k]], minlength=3)
            answers.append(int(votes.argmax()))
            continue
        distances = []
        for number in range(3):
            nearest = held[[r for r in by_distance if memory.image_class[r] == number][:k]]
            if rule == "hull":
                distances.append(float(hull_distances(vector[None], nearest[None])[0]))
            else:
                distances.append(float(np.linalg.norm(vector - nearest.mean(0))))
        answers.append(int(np.argmin(distances)))
    return answers


@pytest.mark.parametrize("rule", ["hull", "centroid", "knn"])
@pytest.mark.parametrize("k", [1, 3, 10])
def test_predicts_what_a_loop_does_held_out_and_leave_one_out(memory, rule, k):
    classifier = hp.PooledClassifier(memory, rule=rule, k=k)
    found = classifier.classify_activations(queries())
    vectors = queries()[:, :, 0, 0].astype(float)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16).astype(float)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert found.predicted.tolist() == expected(memory, rule, k, vectors)
    own = classifier.leave_one_out()
    asked = [row for row in own.rows.tolist() if row != 4]
    held = memory.image_vectors(np.array(asked))[:, 0].astype(float)
    predicted = dict(zip(own.rows.tolist(), own.predicted.tolist(), strict=True))
    assert [predicted[row] for row in asked] == expected(memory, rule, k, held, left_out=asked)
    assert predicted.get(4, -1) == -1


def test_one_neighbor_is_the_same_rule_three_times_and_likelihoods_sum_to_one(memory):
    found = [
        hp.PooledClassifier(memory, rule=rule, k=1).leave_one_out() for rule in ("hull", "centroid", "knn")
    ]
    assert found[0].predicted.tolist() == found[1].predicted.tolist() == found[2].predicted.tolist()
    voted = found[0].predicted >= 0
    assert found[0].likelihood[voted].sum(1) == pytest.approx(1)


def test_grids_and_unknown_rules_are_refused(memory, small_memory):
    grids = small_memory(n=4, grid=(2, 2), classes="ab")
    with pytest.raises(InputError, match="holds 4 vectors an image; hull needs one"):
        hp.PooledClassifier(grids)
    with pytest.raises(InputError, match="hull, centroid, knn"):
        hp.PooledClassifier(memory, rule="kde")


def test_it_is_no_kernel_density_classifier_and_builds_no_index(memory):
    classifier = hp.PooledClassifier(memory)
    assert not isinstance(classifier, hp.KernelDensityClassifier) and not hasattr(classifier, "searcher")
    with pytest.raises(TypeError, match="'searcher'"):
        hp.PooledClassifier(memory, searcher="annoy")  # type: ignore[call-arg]
    assert not (memory.path / "indexes").exists()


@pytest.mark.parametrize("kind", [hp.PooledClassifier, hp.KernelDensityClassifier])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"k": 0}, "k must be at least 1, got 0"),
        ({"exclude": "class"}, "unknown exclude 'class'"),
        ({"images": [3, 18]}, "images holds 18, there are 0 to 17"),
        ({"images": [-1, 3]}, "images holds -1"),
    ],
)
def test_bad_arguments_get_one_sentence(memory, kind, options, said):
    with pytest.raises(InputError, match=said) as refused:
        kind(memory, **options)
    assert "\n" not in str(refused.value)


def test_evaluate_takes_it_by_name(memory):
    def run(*options):
        return CliRunner().invoke(
            main, ["evaluate", str(memory.path), "--leave-one-out", "--k", "3", *options]
        )

    hull = run("--classifier", "hull", "--json")
    assert hull.exit_code == 0, hull.output
    document = json.loads(hull.stdout)
    assert document["classifier"] == "hull" and document["accuracy"] > 0.5
    assert document["searcher"] == "exact" and document["searcher_certified"] is None
    for options in (("--searcher", "faiss:Flat"), ("--memory-budget", "1M"), ("--matches", "m.csv")):
        refused = run("--classifier", "knn", *options)
        assert refused.exit_code == 2 and "searches exactly" in refused.stderr
    assert not (memory.path / "indexes").exists()
