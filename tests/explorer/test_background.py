"""The background pass: it comes last, and what it finds is counted right."""

import threading
import time

import numpy as np

from hueprobe.explorer.overview import Overview, margins
from hueprobe.explorer.page_data import QueryArrays
from hueprobe.explorer.search_thread import PAUSE_SECONDS, SearchThread


def test_what_a_reader_waits_for_comes_before_the_background_pass():
    order, begun, go = [], threading.Event(), threading.Event()

    def background():
        for i in range(3):
            order.append(f"step {i}")
            if not i:
                begun.set()
                go.wait(10)
            yield

    thread = SearchThread(background(), order.append)
    thread.start()
    begun.wait(10)
    asked = [thread.ask(lambda i=i: order.append(f"asked {i}")) for i in range(2)]
    dropped = thread.ask(lambda: order.append("dropped"))
    assert dropped.cancel()
    go.set()
    for future in asked:
        future.result(10)
    failing = thread.ask(lambda: 1 / 0)
    assert isinstance(failing.exception(10), ZeroDivisionError)
    assert order == ["step 0", "asked 0", "asked 1"]  # and a pause, as more questions may follow
    began = time.monotonic()
    while len(order) < 5:
        time.sleep(0.01)
    assert order == ["step 0", "asked 0", "asked 1", "step 1", "step 2"]
    assert time.monotonic() - began > PAUSE_SECONDS / 2
    thread.stop()
    assert thread.ask(lambda: None).cancelled()


def test_an_overview_keeps_no_more_matches_than_it_may():
    overview = Overview(4, n_cells=2, k=2, n_slots=10, most_matches=15)
    ids = np.arange(16).reshape(4, 2, 2) % 5

    def found(rows):
        n = len(rows)
        of_rows = {"predicted": np.ones(n, int), "likelihood": np.array([[0.25, 0.75]] * n), "ids": ids[rows],
                   "distance": np.ones((n, 2, 2))}  # fmt: skip
        others = {name: None for name in QueryArrays.__dataclass_fields__ if name not in of_rows}
        return QueryArrays(**of_rows, **others)

    overview.add(1, np.array([0]), found([0]))
    overview.add(3, np.array([1, 2]), found([2, 3]))  # the second image cannot be read
    assert overview.predictions().predicted.tolist() == [1, -1, 1, 1]
    assert overview.predictions().margin.tolist() == [0.5, 0.0, 0.5, 0.5]
    assert overview.n_kept == 3
    assert overview.reverse(0)[0].tolist() == [[0, 0], [2, 1]]
    ids, counts, n_matches = overview.hubs()
    assert (ids.tolist(), counts.tolist(), n_matches) == ([0, 1, 3, 2, 4], [2, 2, 2, 1, 1], 8)
    assert margins(np.ones((2, 1))).tolist() == [1, 1] and margins(np.ones((2, 0))).tolist() == [0, 0]
