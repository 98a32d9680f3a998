import itertools

import pytest

from hueprobe.plots import recall_speed
from hueprobe.search import Trial, Tuning


def tuning_of(rows, *, wished=0.99):
    trials = tuple(Trial(spec, recall, 100 * speed, speed, 1.0, 1) for spec, recall, speed in rows)
    return Tuning("m", 88_200, 500, 10, wished, (Trial("exact", 1.0, 100.0, 1.0, 0.0, 0), *trials), ())


@pytest.fixture
def tuning():
    rows = [("annoy:trees=10", 0.7, 0.4), ("annoy:trees=10,search_k=5500", 0.95, 0.11)]
    rows += [(f"faiss:HNSW32;efSearch={64 * 2**i}", 1 - 0.02 / 3**i, 1.5 / 1.4**i) for i in range(4)]
    rows += [(f"faiss:IVF1024,Flat;nprobe={4**i}", 1 - 0.3 / 6**i, 2.5 / 1.8**i) for i in range(1, 5)]
    return tuning_of(rows)


def test_a_line_an_index_through_its_trials(tuning, ax):
    recall_speed(tuning, ax=ax)
    lines = {line.get_label(): line for line in ax.lines}
    assert {"exact", "annoy:trees=10", "faiss:HNSW32", "faiss:IVF1024,Flat", "recommended"} <= lines.keys()
    assert lines["annoy:trees=10"].get_xydata().tolist() == [[0.7, 0.4], [0.95, 0.11]]
    best = tuning.recommended
    assert lines["recommended"].get_xydata().tolist() == [[best.recall, best.times_exact]]
    assert best.spec in ax.get_title()


def test_the_spread_of_the_rounds_is_drawn_and_their_number_told(ax):
    timed = Trial("annoy:trees=10", 0.9, 100.0, 2.0, 1.0, 1, 1.5, 2.5, 9)
    exact = Trial("exact", 1.0, 50.0, 1.0, 0.0, 0, 0.9, 1.1, 25)
    recall_speed(Tuning("m", 88_200, 500, 10, 0.5, (exact, timed), ()), ax=ax)
    segments = [s.tolist() for lines in ax.collections for s in lines.get_segments()]
    assert [[0.9, 1.5], [0.9, 2.5]] in segments and [[1.0, 0.9], [1.0, 1.1]] in segments
    assert "median speed of n = 9 to 25 rounds" in ax.get_title()


def test_labels_overlap_neither_each_other_nor_the_frame(tuning):
    ax = recall_speed(tuning)
    frame = ax.get_window_extent()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) >= 8
    assert {text.get_text() for text in ax.texts} >= {"efSearch 64", "nprobe 4", "search_k 5500"}
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)


def test_recall_one_is_drawn_at_the_right_end_beyond_all_that_miss_some(tuning):
    ax = recall_speed(tuning)
    right = ax.transData.transform((1.0, 1.0))[0]
    assert right == pytest.approx(ax.get_window_extent().x1, abs=1)
    assert ax.transData.transform((0.9998, 1.0))[0] < right - 5
    one_more_miss = ax.transData.transform([(0.9, 1.0), (0.99, 1.0), (0.999, 1.0)])[:, 0]
    assert one_more_miss[1] - one_more_miss[0] == pytest.approx(one_more_miss[2] - one_more_miss[1], rel=0.1)


@pytest.mark.parametrize("recall", [0.0, float("nan"), 1.0])
def test_extreme_recalls_are_drawn(recall):
    ax = recall_speed(tuning_of([("annoy:trees=10", recall, 2.0)]))
    assert ax.get_xlim()[0] < 0.99 and ax.get_xlim()[1] == 1
