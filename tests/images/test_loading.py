"""Batches: in order, of one shape, whatever single images are like, with and without workers."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from hueprobe.errors import ImageError, InputError, NumericsError, ShapeError
from hueprobe.images import Transform, from_dataset, from_folder, load_batches, read_image

TRANSFORM = Transform(resize=10, crop=8)
BOTH = pytest.mark.parametrize("workers", [0, 2])


@pytest.fixture
def table(tmp_path, write_image):
    """Eleven images, of which 2, 5, 6, 7 and 10 are unreadable in different ways."""
    for i in range(11):
        write_image(f"a/{i:02d}.png", size=(12 + i, 9))
    data = (tmp_path / "a" / "05.png").read_bytes()
    (tmp_path / "a" / "02.png").write_text("no image")
    (tmp_path / "a" / "05.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "a" / "06.png").write_bytes(b"")
    (tmp_path / "a" / "10.png").unlink()
    (tmp_path / "a" / "10.png").symlink_to(tmp_path / "gone.png")
    strip = io.BytesIO()
    Image.new("1", (1, 2_000_000)).save(strip, "PNG")
    (tmp_path / "a" / "07.png").write_bytes(strip.getvalue())
    return from_folder(tmp_path)


def as_numbers(batches):
    return [(batch.start, batch.images.numpy().tobytes(), batch.records) for batch in batches]


@BOTH
@pytest.mark.parametrize("batch_size", [1, 3, 11, 50])
def test_batches_against_one_by_one(table, workers, batch_size):
    batches = list(load_batches(table, TRANSFORM, batch_size=batch_size, workers=workers))
    assert [batch.start for batch in batches] == list(range(0, 11, batch_size))
    images = torch.cat([batch.images for batch in batches])
    records = [record for batch in batches for record in batch.records]
    assert images.shape == (11, 3, 8, 8) and images.dtype == torch.float32
    assert [i for i, record in enumerate(records) if not record.readable] == [2, 5, 6, 7, 10]
    assert [len(batch.records) for batch in batches] == [len(batch.images) for batch in batches]
    for i, record in enumerate(records):
        image, alone = read_image(table.file(i))
        if record.readable:
            assert torch.equal(images[i], TRANSFORM(image))
            assert record == alone
        else:
            assert not images[i].any()
            assert record.reason and record.sha256 == alone.sha256
    assert "too long and thin" in records[7].reason


@BOTH
def test_rows_from_start_to_stop(table, workers):
    whole = torch.cat([b.images for b in load_batches(table, TRANSFORM, batch_size=11)])
    part = list(load_batches(table, TRANSFORM, batch_size=4, start=3, stop=10, workers=workers))
    assert [(batch.start, len(batch.records)) for batch in part] == [(3, 4), (7, 3)]
    assert torch.equal(torch.cat([batch.images for batch in part]), whole[3:10])
    assert list(load_batches(table, TRANSFORM, batch_size=4, start=5, stop=5, workers=workers)) == []


@pytest.mark.parametrize("ahead", [0, 1, 20])
@pytest.mark.parametrize("workers", [None, 0, 1, 2, 7])
def test_workers_change_nothing(table, workers, ahead):
    alone = as_numbers(load_batches(table, TRANSFORM, batch_size=2))
    assert as_numbers(load_batches(table, TRANSFORM, batch_size=2, workers=workers, ahead=ahead)) == alone


def test_batches_are_ready_for_networks_in_channels_last(table):
    (batch,) = load_batches(table, TRANSFORM, batch_size=11)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)


@BOTH
def test_of_several_images_that_fail_the_first_is_named(table, workers):
    failed = []

    def failing(image):
        failed.append(image)
        raise ValueError("no")

    with pytest.raises(InputError, match=r"fails on image 'a/00.png'"):
        list(load_batches(table, failing, batch_size=11, workers=workers, image_shape=(3, 8, 8)))
    assert len(failed) == (1 if workers == 0 else 7)


@pytest.mark.parametrize(("ahead", "begun"), [(0, 2), (1, 4), (2, 6)])
def test_no_more_is_read_ahead_than_asked_for(tmp_path, write_image, ahead, begun):
    for i in range(20):
        write_image(f"{i:02d}.png")
    seen = []

    def seeing(image):
        seen.append(threading.current_thread().name)
        return TRANSFORM(image)

    batches = load_batches(
        from_folder(tmp_path), seeing, batch_size=2, workers=2, ahead=ahead, image_shape=(3, 8, 8)
    )
    next(batches)
    deadline = time.monotonic() + 10
    while len(seen) < begun and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(seen) == begun and all(name.startswith("hueprobe-read") for name in seen)
    batches.close()


def test_transforms_compute_in_their_own_thread_and_torch_keeps_its_number(table):
    inside, before = [], torch.get_num_threads()

    def seeing(image):
        inside.append(torch.get_num_threads())
        return TRANSFORM(image)

    torch.set_num_threads(3)
    try:
        list(load_batches(table, seeing, batch_size=4, workers=2, image_shape=(3, 8, 8)))
        assert set(inside) == {1}
        with ThreadPoolExecutor(1) as later:
            assert torch.get_num_threads() == later.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(before)


def test_odd_images_are_readable_in_every_thread_where_warnings_are_errors(table, monkeypatch):
    """In the process that decodes what warns here, Pillow is as it was installed."""
    odd = PngImagePlugin.PngImageFile.load_end

    def warning(self):
        if self.size in ((12, 9), (15, 9)):  # of files 0 and 3
            warnings.warn("odd metadata", stacklevel=1)
        odd(self)

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_end", warning)
    before = list(warnings.filters)
    batches = load_batches(table, TRANSFORM, batch_size=3, workers=4, ahead=1)
    readable = [record.readable for batch in batches for record in batch.records]
    assert [i for i, ok in enumerate(readable) if not ok] == [2, 5, 6, 7, 10]
    assert warnings.filters == before
    with pytest.raises(UserWarning, match="odd metadata"):
        Image.open(io.BytesIO(table.file(0).read_bytes())).load()


def test_global_random_state_is_left_alone(table):
    for workers in (0, 2):
        before = torch.get_rng_state()
        list(load_batches(table, TRANSFORM, batch_size=4, workers=workers))
        assert torch.equal(torch.get_rng_state(), before)


@BOTH
def test_a_batch_without_a_readable_image(table, workers):
    """The transform tells the shape, or the caller, or the first readable image of a later batch."""
    known = list(load_batches(table, TRANSFORM, batch_size=2, start=5, stop=9, workers=workers))
    assert known[0].images.shape == (2, 3, 8, 8) and not known[0].images.any()
    for shape in (None, (3, 8, 8), [3, 8, 8]):
        batches = load_batches(
            table, _eight_by_eight, batch_size=2, start=5, stop=9, workers=workers, image_shape=shape
        )
        assert as_numbers(batches) == as_numbers(known)


def test_no_readable_image_at_all(table):
    assert [b.images.shape for b in load_batches(table, TRANSFORM, batch_size=2, start=5, stop=8)] == [
        (2, 3, 8, 8), (1, 3, 8, 8),
    ]  # fmt: skip
    with pytest.raises(
        ImageError, match="none of 2 images could be read; the first: image file is truncated"
    ):
        load_batches(table, _eight_by_eight, batch_size=2, start=5, stop=7)


@BOTH
def test_images_of_differing_shape(table, workers):
    said = r"image 'a/01.png' has shape \(3, 10, 14\) after the transform, 'a/00.png' is \(3, 10, 13\)"
    for batch_size in (1, 11):
        with pytest.raises(ShapeError, match=said) as caught:
            list(load_batches(table, Transform(resize=10, crop=None), batch_size=batch_size, workers=workers))
        assert "\n" not in str(caught.value)
    with pytest.raises(
        ShapeError, match=r"'a/00.png' has shape \(3, 8, 8\).*that of the others is \(3, 9, 9\)"
    ):
        list(load_batches(table, TRANSFORM, batch_size=3, workers=workers, image_shape=(3, 9, 9)))


def _eight_by_eight(image):
    return TRANSFORM(image).double()


def _fails(image):
    raise ZeroDivisionError("a bug\nof the user")


def _whole_numbers(image):
    return torch.zeros(3, 8, 8, dtype=torch.uint8)


def _no_channels(image):
    return torch.zeros(8, 8)


def _batch(image):
    return torch.zeros(1, 3, 8, 8)


def _colors_last(image):
    return TRANSFORM(image).permute(1, 2, 0)


def _empty(image):
    return torch.zeros(3, 0, 8)


def _picture(image):
    return image.resize((8, 8))


def _nothing(image):
    pass


def _not_a_number(image):
    return TRANSFORM(image) * float("nan")


def _no_numbers(image):
    return torch.zeros(3, 8, 8, device="meta")


def _no_tensor(image):
    return np.asarray(image)


@BOTH
@pytest.mark.parametrize(
    ("transform", "error", "said"),
    [
        (
            _fails,
            InputError,
            "the transform fails on image 'a/00.png': ZeroDivisionError: a bug of the user",
        ),
        (_whole_numbers, InputError, "gives torch.uint8 for image 'a/00.png'; it must give a float tensor"),
        (
            _no_tensor,
            InputError,
            "gives ndarray for image 'a/00.png'.* so pass the array through",
        ),
        (_picture, InputError, r"gives Image for image 'a/00.png'; .* so end it with torchvision's ToTensor"),
        (_not_a_number, NumericsError, "makes NaN or infinite values of image 'a/00.png'"),
        (
            _no_numbers,
            InputError,
            "gives a sparse .* for image 'a/00.png'.*so return a dense tensor on the CPU",
        ),
        (_nothing, InputError, r"gives NoneType for image 'a/00.png'; .* so return the tensor alone"),
        (
            _no_channels,
            ShapeError,
            r"gives \(8, 8\) for image 'a/00.png'; need \(channels, h, w\), so put an",
        ),
        (
            _batch,
            ShapeError,
            r"gives \(1, 3, 8, 8\) .*; need \(channels, h, w\), so take the batch's",
        ),
        (
            _colors_last,
            ShapeError,
            r"gives \(8, 8, 3\) .* need \(channels, h, w\), so permute it by",
        ),
        (_empty, ShapeError, r"gives \(3, 0, 8\) .* need \(channels, h, w\), none of them 0"),
    ],
)
def test_transforms_that_do_not_fit(table, workers, transform, error, said):
    with pytest.raises(error, match=said) as caught:
        list(load_batches(table, transform, batch_size=4, workers=workers, image_shape=(3, 8, 8)))
    assert "\n" not in str(caught.value)


@BOTH
@pytest.mark.parametrize("channels", [1, 4, 6])
def test_a_transform_may_give_other_channels_than_three(table, workers, channels):
    def counted(image):
        return TRANSFORM(image).mean(0, keepdim=True) * torch.arange(1.0, channels + 1)[:, None, None]

    (batch,) = load_batches(table, counted, batch_size=11, workers=workers)
    assert batch.images.shape == (11, channels, 8, 8)
    for i in (0, 1, 9):
        image, _ = read_image(table.file(i))
        assert torch.equal(batch.images[i], counted(image))


@BOTH
def test_a_class_of_ones_own_that_extends_transform_is_called(table, workers):
    class Inverted(Transform):
        def __call__(self, image):
            return -super().__call__(image)

    (batch,) = load_batches(table, Inverted(resize=10, crop=8), batch_size=11, workers=workers)
    assert torch.equal(batch.images[0], -TRANSFORM(read_image(table.file(0))[0]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"workers": -1}, "workers is -1"),
        ({"ahead": -1}, "ahead is -1"),
        ({"start": -1}, "rows -1 to 11 of 11"),
        ({"start": 5, "stop": 4}, "rows 5 to 4"),
        ({"stop": 12}, "rows 0 to 12 of 11"),
    ],
)
def test_numbers_out_of_range_are_refused_at_once(table, options, said):
    with pytest.raises(InputError, match=said):
        load_batches(table, TRANSFORM, **{"batch_size": 4, **options})


class Items(list):
    """A Dataset of images, some of which raise."""

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
    assert torch.equal(batch.images[0], TRANSFORM(Image.fromarray(list.__getitem__(items, 3)[0])))
    assert len({record.sha256 for record in batch.records}) == 3


def test_a_dataset_that_is_gone():
    table = from_dataset(Items([(np.zeros((4, 4), np.uint8), 0)]))
    gone = type(table).from_arrow(table.to_arrow())
    with pytest.raises(ImageError, match="'item-0000000' is no file; give its Dataset again"):
        list(load_batches(gone, TRANSFORM, batch_size=4))


@BOTH
def test_a_dataset_is_read_in_order_by_one_thread(workers):
    asked, inside = [], threading.Lock()

    class Fragile(list):
        def __getitem__(self, i):
            assert inside.acquire(blocking=False), "two threads at once"
            time.sleep(0.002)
            asked.append(i)
            inside.release()
            return super().__getitem__(i)

    table = from_dataset(Fragile((np.full((9, 9), i, np.uint8), 0) for i in range(12)))
    asked.clear()
    list(load_batches(table, TRANSFORM, batch_size=3, workers=workers, ahead=2))
    assert asked == list(range(12))


def readers():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("hueprobe-read")]


def test_threads_end_when_the_caller_stops(table):
    batches = load_batches(table, TRANSFORM, batch_size=1, workers=2, ahead=2)
    next(batches)
    assert readers()
    batches.close()
    assert readers() == []


def test_threads_end_after_an_error(table):
    batches = load_batches(table, Transform(resize=10, crop=None), batch_size=1, workers=2)
    with pytest.raises(ShapeError) as caught:
        list(batches)
    assert readers() == [] and caught.tb  # which would keep an iterator alive


INTERRUPTED = """
import contextlib, sys, threading, time
from hueprobe.images import from_folder, load_batches, Transform
class Slow(Transform):
    def __call__(self, image):
        time.sleep(0.2)
        return super().__call__(image)
batches = load_batches(from_folder(sys.argv[1]), Slow(resize=10, crop=8), batch_size=1, workers=2, ahead=1)
try:
    with contextlib.closing(batches):  # the signal may come while the loop's body runs
        for batch in batches:
            print("begun", flush=True)
except KeyboardInterrupt:
    print("interrupted", threading.active_count(), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are other there")
def test_ctrl_c_ends_the_threads(tmp_path, write_image):
    for i in range(60):
        write_image(f"a/{i:02d}.png")
    command = [sys.executable, "-W", "ignore", "-c", INTERRUPTED, tmp_path]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGINT)
        rest, complaints = process.communicate(timeout=60)
    assert rest.endswith("interrupted 1\n")
    assert "Traceback" not in complaints
