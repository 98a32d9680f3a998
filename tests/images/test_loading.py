"""Batches: in order, of one shape, whatever single pictures are like, with and without processes."""

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from hueprobe.errors import ImageError, InputError, ShapeError
from hueprobe.images import Transform, from_dataset, from_folder, load_batches, read_picture

TRANSFORM = Transform(resize=10, crop=8)
# torch notes that a machine has fewer cores than processes; Python from 3.12, that forking threads is risky.
pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
BOTH = pytest.mark.parametrize("workers", [0, 2])


@pytest.fixture
def table(tmp_path, write_picture):
    """Eleven pictures, of which 2, 5, 6, 7 and 10 are unreadable in different ways."""
    for i in range(11):
        write_picture(f"a/{i:02d}.png", size=(12 + i, 9))
    data = (tmp_path / "a" / "05.png").read_bytes()
    (tmp_path / "a" / "02.png").write_text("no picture")
    (tmp_path / "a" / "05.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "a" / "06.png").write_bytes(b"")
    (tmp_path / "a" / "10.png").unlink()
    (tmp_path / "a" / "10.png").symlink_to(tmp_path / "gone.png")
    strip = io.BytesIO()
    Image.new("1", (1, 2_000_000)).save(strip, "PNG")
    (tmp_path / "a" / "07.png").write_bytes(strip.getvalue())
    return from_folder(tmp_path)


def as_numbers(batches):
    return [(batch.start, batch.pictures.numpy().tobytes(), batch.records) for batch in batches]


@BOTH
@pytest.mark.parametrize("batch_size", [1, 3, 11, 50])
def test_batches_against_one_by_one(table, workers, batch_size):
    batches = list(load_batches(table, TRANSFORM, batch_size=batch_size, workers=workers))
    assert [batch.start for batch in batches] == list(range(0, 11, batch_size))
    pictures = torch.cat([batch.pictures for batch in batches])
    records = [record for batch in batches for record in batch.records]
    assert pictures.shape == (11, 3, 8, 8) and pictures.dtype == torch.float32
    assert [i for i, record in enumerate(records) if not record.readable] == [2, 5, 6, 7, 10]
    assert [len(batch.records) for batch in batches] == [len(batch.pictures) for batch in batches]
    for i, record in enumerate(records):
        image, alone = read_picture(table.file(i))
        if record.readable:
            assert torch.equal(pictures[i], TRANSFORM(image))
            assert record == alone
        else:
            assert not pictures[i].any()
            assert record.reason and record.sha256 == alone.sha256
    assert "too long and thin" in records[7].reason


@BOTH
def test_rows_from_start_to_stop(table, workers):
    whole = torch.cat([b.pictures for b in load_batches(table, TRANSFORM, batch_size=11)])
    part = list(load_batches(table, TRANSFORM, batch_size=4, start=3, stop=10, workers=workers))
    assert [(batch.start, len(batch.records)) for batch in part] == [(3, 4), (7, 3)]
    assert torch.equal(torch.cat([batch.pictures for batch in part]), whole[3:10])
    assert list(load_batches(table, TRANSFORM, batch_size=4, start=5, stop=5, workers=workers)) == []


def test_processes_change_nothing(table):
    alone = as_numbers(load_batches(table, TRANSFORM, batch_size=2))
    for workers in (1, 2):
        assert as_numbers(load_batches(table, TRANSFORM, batch_size=2, workers=workers)) == alone


def test_global_random_state_is_left_alone(table):
    for workers in (0, 1):
        before = torch.get_rng_state()
        list(load_batches(table, TRANSFORM, batch_size=4, workers=workers))
        assert torch.equal(torch.get_rng_state(), before)


@BOTH
def test_a_batch_without_a_readable_picture(table, workers):
    """The transform tells the shape, or the caller, or the first readable picture of a later batch."""
    known = list(load_batches(table, TRANSFORM, batch_size=2, start=5, stop=9, workers=workers))
    assert known[0].pictures.shape == (2, 3, 8, 8) and not known[0].pictures.any()
    for shape in (None, (3, 8, 8), [3, 8, 8]):
        batches = load_batches(
            table, _eight_by_eight, batch_size=2, start=5, stop=9, workers=workers, picture_shape=shape
        )
        assert as_numbers(batches) == as_numbers(known)


def test_no_readable_picture_at_all(table):
    assert [b.pictures.shape for b in load_batches(table, TRANSFORM, batch_size=2, start=5, stop=8)] == [
        (2, 3, 8, 8), (1, 3, 8, 8),
    ]  # fmt: skip
    with pytest.raises(
        ImageError, match="none of 2 pictures could be read; the first: image file is truncated"
    ):
        load_batches(table, _eight_by_eight, batch_size=2, start=5, stop=7)


@BOTH
def test_pictures_of_differing_shape(table, workers):
    said = r"picture 'a/01.png' has shape \(3, 10, 14\) after the transform, 'a/00.png' is \(3, 10, 13\)"
    for batch_size in (1, 11):
        with pytest.raises(ShapeError, match=said) as caught:
            list(load_batches(table, Transform(resize=10, crop=None), batch_size=batch_size, workers=workers))
        assert "\n" not in str(caught.value)
    with pytest.raises(ShapeError, match=r"'a/00.png' has shape \(3, 8, 8\).*picture_shape is \(3, 9, 9\)"):
        list(load_batches(table, TRANSFORM, batch_size=3, workers=workers, picture_shape=(3, 9, 9)))


def _eight_by_eight(image):
    return TRANSFORM(image).double()


def _fails(image):
    raise ZeroDivisionError("a bug\nof the user")


def _whole_numbers(image):
    return torch.zeros(3, 8, 8, dtype=torch.uint8)


def _one_channel(image):
    return torch.zeros(1, 8, 8)


def _no_tensor(image):
    return np.asarray(image)


@BOTH
@pytest.mark.parametrize(
    ("transform", "error", "said"),
    [
        (
            _fails,
            InputError,
            "the transform fails on picture 'a/00.png': ZeroDivisionError: a bug of the user",
        ),
        (_whole_numbers, InputError, "gives torch.uint8 for picture 'a/00.png'; it must give a float tensor"),
        (_no_tensor, InputError, "gives ndarray for picture 'a/00.png'"),
        (_one_channel, ShapeError, r"gives \(1, 8, 8\) for picture 'a/00.png'; need \(3, h, w\)"),
    ],
)
def test_transforms_that_do_not_fit(table, workers, transform, error, said):
    with pytest.raises(error, match=said) as caught:
        list(load_batches(table, transform, batch_size=4, workers=workers, picture_shape=(3, 8, 8)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"workers": -1}, "workers is -1"),
        ({"start": -1}, "rows -1 to 11 of 11"),
        ({"start": 5, "stop": 4}, "rows 5 to 4"),
        ({"stop": 12}, "rows 0 to 12 of 11"),
    ],
)
def test_numbers_out_of_range_are_refused_at_once(table, options, said):
    with pytest.raises(InputError, match=said):
        load_batches(table, TRANSFORM, **{"batch_size": 4, **options})


class Items(list):
    """A Dataset of pictures, some of which raise."""

    def __getitem__(self, i):
        if i == 1:
            raise OSError("broken item")
        return super().__getitem__(i)


@BOTH
def test_items_of_a_dataset(workers):
    rng = np.random.default_rng(0)
    items = Items((rng.integers(0, 256, (9, 12, 3), np.uint8), "c") for _ in range(4))
    with pytest.warns(UserWarning, match="1 of 4 Dataset items"):
        table = from_dataset(items)
    (batch,) = load_batches(table.select([3, 1, 0]), TRANSFORM, batch_size=4, workers=workers)
    assert [record.readable for record in batch.records] == [True, False, True]
    assert batch.records[1].reason == "broken item"
    assert torch.equal(batch.pictures[0], TRANSFORM(Image.fromarray(list.__getitem__(items, 3)[0])))
    assert len({record.sha256 for record in batch.records}) == 3


def test_a_dataset_that_is_gone():
    table = from_dataset(Items([(np.zeros((4, 4), np.uint8), 0)]))
    gone = type(table).from_arrow(table.to_arrow())
    with pytest.raises(ImageError, match="'item-0000000' is no file; give its Dataset again"):
        list(load_batches(gone, TRANSFORM, batch_size=4))


def test_processes_end_when_the_caller_stops(table):
    batches = load_batches(table, TRANSFORM, batch_size=1, workers=2)
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    batches.close()
    assert multiprocessing.active_children() == []


def test_processes_end_after_an_error(table):
    batches = load_batches(table, Transform(resize=10, crop=None), batch_size=1, workers=2)
    with pytest.raises(ShapeError) as caught:
        list(batches)
    assert multiprocessing.active_children() == [] and caught.tb  # which would keep an iterator alive


def _dies(image):
    if image.width == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return TRANSFORM(image)


def test_a_process_that_dies_is_an_error(table):
    with pytest.raises(
        ImageError, match=r"a process that reads pictures died .*(killed|exited).*; try fewer workers"
    ) as caught:
        list(load_batches(table, _dies, batch_size=1, workers=2, picture_shape=(3, 8, 8)))
    assert multiprocessing.active_children() == [] and caught.tb  # which would keep an iterator alive


INTERRUPTED = """
import sys, time, multiprocessing
from hueprobe.images import from_folder, load_batches, Transform
class Slow(Transform):
    def __call__(self, image):
        time.sleep(0.2)
        return super().__call__(image)
batches = load_batches(from_folder(sys.argv[1]), Slow(resize=10, crop=8), batch_size=1, workers=2)
try:
    for batch in batches:
        print(*(process.pid for process in multiprocessing.active_children()), flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are other there")
def test_ctrl_c_leaves_no_processes(tmp_path, write_picture):
    for i in range(60):
        write_picture(f"a/{i:02d}.png")
    command = [sys.executable, "-W", "ignore", "-c", INTERRUPTED, tmp_path]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment,
    ) as process:
        workers = [int(pid) for pid in process.stdout.readline().split()]
        assert len(workers) == 2
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        rest, complaints = process.communicate(timeout=60)
    assert rest.endswith("interrupted\n")
    assert "Traceback" not in complaints
    deadline = time.monotonic() + 10
    while any(_is_alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_is_alive(pid) for pid in workers)


def _is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
