"""The file of `sparse16`: any rows come back bit for bit, and damage is told with the file's name."""

import io
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hueprobe.errors import MemoryDamagedError
from hueprobe.memory import sparse_rows
from hueprobe.memory.sparse_rows import SparseRows, SparseRowsWriter, packed, packed_size

NATIVE = sparse_rows._sparse
WAYS = ["numpy", pytest.param("native", marks=pytest.mark.skipif(NATIVE is None, reason="no C compiler"))]


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """Rows packed and unpacked by NumPy, then by native code."""
    monkeypatch.setattr(sparse_rows, "_sparse", NATIVE if request.param == "native" else None)
    return request.param


def write(path, values, batch=2):
    """Write values (n, H, W, C) a few images at a time; return the file's bytes."""
    file = io.BytesIO()
    writer = SparseRowsWriter(file, values.shape)
    for start in range(0, len(values), batch):
        writer.add(values[start : start + batch])
    writer.finish()
    path.write_bytes(file.getvalue())
    return file.getvalue()


def slow_rows(data):
    """Read a file as its format is described, one bit at a time: shape and bits of all rows."""
    number = int.from_bytes
    assert data[:16] == b"\x93SPARSE16" + bytes(7) and data[48:64] == bytes(16)
    n, height, width, channels = (number(data[at : at + 8], "little") for at in range(16, 48, 8))
    n_rows = n * height * width
    table = data[len(data) - 8 * (n_rows + 1) :]
    places = [number(table[at : at + 8], "little") for at in range(0, len(table), 8)]
    assert (64 + 2 * places[-1] + 7) // 8 * 8 == len(data) - len(table)
    rows = []
    for start, stop in zip(places[:-1], places[1:], strict=True):
        words = [number(data[64 + 2 * at : 66 + 2 * at], "little") for at in range(start, stop)]
        bitmap, values = words[: (channels + 15) // 16], iter(words[(channels + 15) // 16 :])
        rows.append([next(values) if bitmap[c // 16] >> c % 16 & 1 else 0 for c in range(channels)])
        assert next(values, None) is None
    return (n, height, width, channels), rows


def sparse_values(shape, seed=0, share=0.2):
    """Return values of which a share is not zero."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(shape) < share, rng.random(shape), 0).astype(np.float16)


# Zeros half of the time; else any 16 bits: negative zero, subnormals, NaN with any payload, infinities.
BITS = st.one_of(st.just(0), st.integers(0, 0xFFFF), st.sampled_from([0x8000, 1, 0x3C00, 0x7C00, 0x7E01]))


@given(
    bits=hnp.arrays(
        np.uint16,
        st.tuples(st.integers(1, 4), st.integers(1, 2), st.integers(1, 2), st.integers(1, 70)),
        elements=BITS,
    ),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_any_rows_come_back_bit_for_bit_in_any_order(tmp_path_factory, bits, data):
    path = tmp_path_factory.mktemp("rows") / "x.sparse"
    flat = bits.reshape(-1, bits.shape[-1])
    chosen = np.array(data.draw(st.lists(st.integers(0, len(flat) - 1), max_size=9)), np.int64)
    start, stop = sorted(data.draw(st.tuples(*[st.integers(0, len(flat))] * 2)))
    files = []
    for native in (None, NATIVE):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sparse_rows, "_sparse", native)
            files.append(write(path, bits.view(np.float16)))
            found = SparseRows(path, bits.shape)
            np.testing.assert_array_equal(found[chosen].view(np.uint16), flat[chosen])
            np.testing.assert_array_equal(found[start:stop].view(np.uint16), flat[start:stop])
            np.testing.assert_array_equal(np.asarray(found).view(np.uint16), bits)
            assert found.nbytes == path.stat().st_size and len(found) == len(flat)
    assert files[0] == files[1]
    shape, rows = slow_rows(files[0])
    assert shape == bits.shape and rows == flat.tolist()


def test_a_file_worked_by_hand(tmp_path, way):
    """One image of one row and two cells with 18 channels: 0.5 in channels 0 and 17, then nothing."""
    values = np.zeros((1, 1, 2, 18), np.float16)
    values[0, 0, 0, [0, 17]] = 0.5
    header = b"\x93SPARSE16".ljust(16, b"\0") + np.array([1, 1, 2, 18], "<u8").tobytes() + bytes(16)
    words = np.array([0b1, 0b10, 0x3800, 0x3800, 0, 0], "<u2").tobytes()
    assert write(tmp_path / "x", values) == header + words + bytes(4) + np.array([0, 4, 6], "<i8").tobytes()


@pytest.mark.parametrize("channels", [16, 100, 1280])
def test_packed_size_is_that_of_the_rows(channels):
    values = sparse_values((50, channels))
    words, starts = packed(values)
    nonzero = np.count_nonzero(values) / values.size
    assert words.nbytes + 8 * (len(starts) - 1) == pytest.approx(50 * packed_size(channels, nonzero))


def test_the_file_grows_with_what_is_not_zero(tmp_path):
    sizes = [len(write(tmp_path / "x", sparse_values((8, 7, 7, 256), share=share))) for share in (0.0, 0.1)]
    assert sizes[1] - sizes[0] == 2 * np.count_nonzero(sparse_values((8, 7, 7, 256), share=0.1)) // 8 * 8
    assert sizes[1] < 0.2 * 8 * 49 * 512


SHAPE = (5, 2, 2, 37)  # 20 rows; bitmaps of 3 words, of which 11 bits stand for nothing


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "000000.vectors.sparse"
    write(path, sparse_values(SHAPE))
    return path


def read_all(path):
    return np.asarray(SparseRows(path, SHAPE))


def test_every_changed_byte_of_header_and_places_is_told(file, way):
    data = file.read_bytes()
    places = len(data) - 8 * 21
    for at in [*range(64), *range(places, len(data))]:
        for flip in (1, 0x80):
            changed = bytearray(data)
            changed[at] ^= flip
            file.write_bytes(changed)
            with pytest.raises(MemoryDamagedError, match=r"000000\.vectors\.sparse is damaged: "):
                read_all(file)


def test_every_changed_bit_of_a_bitmap_is_told(file, way):
    data = file.read_bytes()
    places = np.frombuffer(data[-8 * 21 :], np.int64)[:-1]
    for row, place in enumerate(places):
        for bit in range(48):
            changed = bytearray(data)
            changed[64 + 2 * place + bit // 8] ^= 1 << bit % 8
            file.write_bytes(changed)
            with pytest.raises(MemoryDamagedError, match=rf"sparse is damaged: row {row} does not lie where"):
                read_all(file)


def test_a_bitmap_with_bits_beyond_the_channels_is_told_even_where_the_number_fits(file, way):
    data = bytearray(file.read_bytes())
    place = 64
    bits = int.from_bytes(data[place : place + 6], "little")
    lowest = bits & -bits
    data[place : place + 6] = (bits ^ lowest | 1 << 40).to_bytes(6, "little")
    file.write_bytes(data)
    with pytest.raises(MemoryDamagedError, match="row 0 does not lie where the file says, or its bitmap"):
        read_all(file)


@pytest.mark.parametrize(
    "forged",
    [
        [0, 5, 3],  # falling
        [0, 2, 8],  # no room for a bitmap
        [0, -4, 8],
        [0, 1 << 40, 8],
        [0, 2**63 - 1, 8],
        [0, -(2**63), 8],
    ],
)
def test_places_out_of_range_or_order_are_told(file, way, forged):
    data = bytearray(file.read_bytes())
    data[-8 * 21 : -8 * 18] = np.array(forged, np.int64).tobytes()
    file.write_bytes(data)
    rows = SparseRows(file, SHAPE)
    for chosen in (np.arange(20), np.array([1]), np.array([19, 0, 2])):
        with pytest.raises(MemoryDamagedError, match=r"\.sparse is damaged: row [012] does not lie where"):
            rows[chosen]


@pytest.mark.parametrize("start", [-4, -(2**40), 60, 2**40])
def test_rows_outside_are_told_even_where_zeros_lie_there(tmp_path, way, start):
    """Zeros before the words (the header) and behind them (the first place) would be rows of zeros."""
    path = tmp_path / "x.sparse"
    data = bytearray(write(path, np.zeros(SHAPE, np.float16)))
    assert len(data) == 64 + 2 * 60 + 8 * 21 and data[48:64] == bytes(16) == data[-8 * 21 - 8 : -8 * 20]
    data[-8 * 20 : -8 * 18] = np.array([start, start + 3], np.int64).tobytes()
    path.write_bytes(data)
    with pytest.raises(MemoryDamagedError, match="row 1 does not lie where the file says"):
        SparseRows(path, SHAPE)[np.array([1])]


def test_the_first_broken_row_of_those_read_is_named(file, way):
    data = bytearray(file.read_bytes())
    data[-8 * 14 : -8 * 13] = (1 << 40).to_bytes(8, "little")  # the end of row 6, the start of row 7
    file.write_bytes(data)
    rows = SparseRows(file, SHAPE)
    np.testing.assert_array_equal(rows[8:], sparse_values(SHAPE).reshape(20, 37)[8:])
    with pytest.raises(MemoryDamagedError, match="row 7 does"):
        rows[np.array([3, 7, 6])]
    with pytest.raises(MemoryDamagedError, match="row 6 does"):
        rows[5:]


@pytest.mark.parametrize("n_bytes", [0, 1, 63, 64, 231, 232, 233, -1, -8])
def test_a_file_of_another_length_is_told(file, n_bytes):
    data = file.read_bytes()
    file.write_bytes(data[:n_bytes])
    with pytest.raises(MemoryDamagedError, match=r"000000\.vectors\.sparse is damaged: it"):
        SparseRows(file, SHAPE)
    file.write_bytes(data + bytes(8))
    with pytest.raises(MemoryDamagedError, match="which does not fit its size"):
        SparseRows(file, SHAPE)


def test_a_missing_file_and_a_file_of_another_shape_are_told(file):
    with pytest.raises(MemoryDamagedError, match="its header is not that of an array of shape"):
        SparseRows(file, (5, 2, 2, 38))
    file.unlink()
    with pytest.raises(MemoryDamagedError, match=r"sparse is damaged: it cannot be read: No such file"):
        SparseRows(file, SHAPE)


@pytest.mark.skipif(NATIVE is None, reason="no C compiler")
def test_native_code_believes_no_length():
    rows, words, starts = np.zeros((2, 20), np.uint16), np.zeros(44, np.uint16), np.zeros(3, np.int64)
    NATIVE.pack(rows, words, starts, 20)
    for bad in (
        (rows[:1], words, starts, 20), (rows, words[1:], starts, 20), (rows, words, starts[1:], 20),
        (rows, words, starts, 19), (rows, words, starts, 0), (rows, words, starts, -1),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="do not fit each other"):
            NATIVE.pack(*bad)
    assert NATIVE.unpack(words, starts[:-1], starts[1:], rows, 20) == -1
    for bad in (
        (words, starts[:1], starts[1:], rows, 20), (words, starts[:-1], starts[1:], rows[:1], 20),
        (words, starts[:-1], starts[1:], rows, 0),
        (words.view(np.uint8)[1:], starts[:-1], starts[1:], rows, 20),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="do not fit each other"):
            NATIVE.unpack(*bad)


def test_numpy_takes_over_where_there_is_no_native_code(file):
    code = (
        "import sys; sys.modules['hueprobe.memory._sparse'] = None\n"
        "import numpy as np; from pathlib import Path; from hueprobe.memory import sparse_rows\n"
        "rows = np.asarray(sparse_rows.SparseRows(Path(sys.argv[1]), (5, 2, 2, 37)))\n"
        "print(sparse_rows._sparse, rows.tobytes().hex())"
    )
    shown = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["None", sparse_values(SHAPE).tobytes().hex()]
