"""Work in a thread: in order, errors brought back, never left running."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from hueprobe.memory.background import consumed_in_background


def threads():
    return [thread.name for thread in threading.enumerate() if thread.name == "hueprobe-write"]


@pytest.mark.parametrize("n", [0, 1, 2, 50])
def test_every_item_in_order(n):
    seen = []
    with consumed_in_background(seen.extend) as thread:
        for item in range(n):
            thread.hand_over(item)
    assert seen == list(range(n))
    assert threads() == []


def test_items_do_not_pile_up():
    may_go, taken = threading.Event(), []

    def slow(items):
        for item in items:
            taken.append(item)
            may_go.wait()

    handed = []

    def hand_all(hand_over):
        for item in range(5):
            hand_over(item)
            handed.append(item)

    with consumed_in_background(slow) as thread:
        caller = threading.Thread(target=hand_all, args=[thread.hand_over])
        caller.start()
        time.sleep(0.2)
        assert taken == [0] and handed == [0, 1]  # one at work, one waiting
        may_go.set()
        caller.join()
    assert taken == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("when", ["begin", 0, 2, "end"])
def test_an_error_comes_back_at_once_and_does_not_hang(when):
    def fails(items):
        if when == "begin":
            raise OSError(28, "No space left on device")
        for item in items:
            if item == when:
                raise OSError(28, "No space left on device")
        if when == "end":
            raise OSError(28, "No space left on device")

    handed = []

    def hand_five():
        with consumed_in_background(fails) as thread:
            for item in range(5):
                thread.hand_over(item)
                handed.append(item)
                time.sleep(0.05)

    with pytest.raises(OSError, match="No space left"):
        hand_five()
    assert len(handed) <= {"begin": 1, 0: 1, 2: 3, "end": 5}[when]
    assert threads() == []


def test_torch_uses_the_thread_alone_and_as_many_as_before_elsewhere():
    inside, before = [], torch.get_num_threads()

    def noted(items):
        inside.extend(torch.get_num_threads() for _ in items)

    torch.set_num_threads(3)
    try:
        with consumed_in_background(noted) as thread:
            thread.hand_over(0)
        assert inside == [1]
        with ThreadPoolExecutor(1) as later:
            assert torch.get_num_threads() == later.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(before)


def test_settling_waits_for_everything_handed_over():
    done = []

    def slow(items):
        for item in items:
            time.sleep(0.05)
            done.append(item)

    with consumed_in_background(slow) as thread:
        thread.settle()  # nothing to wait for
        for first in (0, 2):
            thread.hand_over(first)
            thread.hand_over(first + 1)
            thread.settle()
            assert done == list(range(first + 2))


@pytest.mark.parametrize("when", ["begin", 0, 1])
def test_settling_brings_an_error_back_and_does_not_hang(when):
    def fails(items):
        if when == "begin":
            raise OSError(28, "No space left on device")
        for item in items:
            if item == when:
                raise OSError(28, "No space left on device")

    def hand_two():
        with consumed_in_background(fails) as thread:
            thread.hand_over(0)
            thread.hand_over(1)
            thread.settle()
            pytest.fail("the error did not come")

    with pytest.raises(OSError, match="No space left"):
        hand_two()
    assert threads() == []


def test_settling_does_not_wait_for_what_is_dropped():
    with consumed_in_background(lambda items: next(items)) as thread:
        for item in range(3):
            thread.hand_over(item)
            thread.settle()
    assert threads() == []


def test_an_error_of_the_caller_ends_the_thread_behind_what_it_was_given():
    seen, left = [], []

    def consume(items):
        try:
            for item in items:
                seen.append(item)
        except BaseException as error:
            left.append(error)
            raise

    def fail_behind_two():
        with consumed_in_background(consume) as thread:
            thread.hand_over(1)
            thread.hand_over(2)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_behind_two()
    assert seen == [1, 2] and len(left) == 1
    assert threads() == []


def test_what_comes_unasked_behind_the_end_of_the_work_is_dropped():
    with consumed_in_background(lambda items: next(items)) as thread:
        for item in range(5):
            thread.hand_over(item)
    assert threads() == []


def test_ctrl_c_twice_waits_for_what_is_being_written():
    written = []

    def slow(items):
        for item in items:
            signal.raise_signal(signal.SIGINT)  # the second one, while the caller waits
            time.sleep(0.2)
            written.append(item)

    def interrupted():
        with consumed_in_background(slow) as thread:
            thread.hand_over(1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert written == [1] and threads() == []


def test_ctrl_c_while_the_last_is_written_waits_for_it():
    """Python up to 3.12 takes a thread for dead whose `join` was interrupted (python/cpython issue 90882)."""
    written = []

    def slow(items):
        for item in items:
            time.sleep(0.5)
            written.append(item)

    def interrupted():
        with consumed_in_background(slow) as thread:
            thread.hand_over(1)
            main = threading.main_thread().ident
            threading.Timer(0.1, signal.pthread_kill, [main, signal.SIGINT]).start()

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert written == [1]
