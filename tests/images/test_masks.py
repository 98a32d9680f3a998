"""Masks: their pixel values, and the cell that each pixel belongs to."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hueprobe.errors import ImageError, InputError, ShapeError
from hueprobe.images import LabelSet, Transform, mask_as_seen, mask_on_grid, read_mask
from hueprobe.images.masks import cell_counts

PIXELS = st.integers(1, 40)
NO_CHANGE = {"mean": (0, 0, 0), "std": (1, 1, 1)}


def png(image, **options):
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def gray_png(values, bits):
    """Return a gray PNG of few bits per pixel, which Pillow does not write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = values.shape
    spread = (values[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
    rows = np.packbits(spread.reshape(height, -1).astype(np.uint8), axis=1)
    packed = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(packed))
        + chunk(b"IEND", b"")
    )


def all_values(n):
    return LabelSet(tuple(map(str, range(n))), tuple(range(n)), ignore=())


def values_of(shape, n, seed=0):
    return np.random.default_rng(seed).integers(0, n, shape)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_gray_values_of_any_number_of_bits_are_not_stretched(bits):
    values = values_of((5, 7), 2**bits)
    np.testing.assert_array_equal(read_mask(gray_png(values, bits), all_values(2**bits)), values)


def test_sixteen_bits():
    values = np.array([[0, 255, 256], [65_535, 1000, 7]], np.uint16)
    labels = LabelSet(("a", "b", "c", "d"), (7, 256, 1000, 65_535), ignore=(0, 255))
    np.testing.assert_array_equal(read_mask(png(Image.fromarray(values)), labels), [[-1, -1, 1], [3, 2, 0]])


@pytest.mark.parametrize("n_colors", [2, 4, 16, 256])
@pytest.mark.parametrize("transparency", [None, 1])
def test_indices_of_a_palette_count_and_not_its_colors(n_colors, transparency):
    values = values_of((6, 9), n_colors)
    image = Image.fromarray(values.astype(np.uint8), "L")
    image = image.copy()
    image.putpalette(np.random.default_rng(1).integers(0, 256, 3 * n_colors, np.uint8).tolist())
    assert image.mode == "P"
    options = {} if transparency is None else {"transparency": transparency}
    np.testing.assert_array_equal(read_mask(png(image, **options), all_values(n_colors)), values)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_is_turned_like_an_image_of_the_same_orientation(orientation, tmp_path):
    from hueprobe.images import read_image

    values = values_of((4, 6), 256).astype(np.uint8)
    image = Image.fromarray(values)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = png(image, exif=exif)
    upright, _ = read_image(data)
    np.testing.assert_array_equal(read_mask(data, all_values(256)), np.asarray(upright)[:, :, 0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (png(Image.new("RGB", (4, 4))), "its pixels are RGB; save one number per pixel"),
        (png(Image.new("LA", (4, 4))), "its pixels are LA; save one number per pixel"),
        (b"", "not an image of a known format"),
        (png(Image.new("L", (64, 64)))[:60], "cannot read mask 'm.png': "),
    ],
)
def test_a_file_that_is_no_mask(data, message):
    with pytest.raises(ImageError, match=message):
        read_mask(data, all_values(3), name="m.png")


def test_a_lossy_mask_is_refused(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "m.jpg")
    with pytest.raises(ImageError, match="is a JPEG file; save it as a PNG"):
        read_mask(tmp_path / "m.jpg", all_values(3))


def test_a_value_beyond_the_labels():
    with pytest.raises(
        InputError, match=r"mask 'm.png' has the value 3, but the 3 labels are the values 0 to 2, 255 ignored"
    ):
        read_mask(png(Image.new("L", (2, 2), 3)), LabelSet(("a", "b", "c"), (0, 1, 2)), name="m.png")


def test_too_many_pixels(monkeypatch):
    monkeypatch.setenv("HUEPROBE_MAX_PIXELS", "63")
    with pytest.raises(ImageError, match="exceeds limit of 63 pixels"):
        read_mask(png(Image.new("L", (8, 8))), all_values(1), name="m.png")


TRANSFORMS = st.one_of(
    st.builds(
        Transform, resize=st.one_of(st.none(), PIXELS, st.tuples(PIXELS, PIXELS)),
        crop=st.one_of(st.none(), PIXELS, st.tuples(PIXELS, PIXELS)),
    ),
    st.builds(
        Transform, resize=st.none(), crop=st.one_of(PIXELS, st.tuples(PIXELS, PIXELS)),
        fit=st.sampled_from(["squash", "pad"]),
    ),
)  # fmt: skip


def slow_as_seen(mask, transform):
    """Return what `mask_as_seen` may, pixel by pixel, from the point of the mask below each pixel.

    A point on the edge of two pixels may get either, so there are two results: lower and upper.
    """
    height, width = mask.shape
    crop, resize = transform.crop, transform.resize
    pair = lambda size: size if isinstance(size, tuple) else (size, size)  # noqa: E731
    if transform.fit == "crop":
        inside = (height, width)
        if isinstance(resize, int):
            short = min(height, width)
            inside = (resize * height // short, resize * width // short)
        elif resize is not None:
            inside = resize
        frame = inside if crop is None else pair(crop)
        # torchvision pads first, the smaller half at the left and top, and rounds the crop's start to even.
        offset = []
        for size, framed in zip(inside, frame, strict=True):
            before = (framed - size) // 2 if framed > size else 0
            padded = max(size, framed)
            offset.append(round((padded - framed) / 2.0) - before)
    else:
        frame = pair(crop)
        inside = frame
        if transform.fit == "pad":
            scale = min(frame[0] / height, frame[1] / width)
            inside = tuple(
                min(f, max(1, round(size * scale))) for f, size in zip(frame, (height, width), strict=True)
            )
        offset = [-((f - i) // 2) for f, i in zip(frame, inside, strict=True)]
    seen = np.full((2, *frame), -1)
    for y in range(frame[0]):
        for x in range(frame[1]):
            inner = (y + offset[0], x + offset[1])
            if 0 <= inner[0] < inside[0] and 0 <= inner[1] < inside[1]:
                for upper in (0, 1):
                    row, column = (
                        ((2 * at + 1) * size - 1 + upper) // (2 * n)
                        for at, size, n in zip(inner, (height, width), inside, strict=True)
                    )
                    seen[upper, y, x] = row * width + column
    return seen


@settings(max_examples=300, deadline=None)
@given(PIXELS, PIXELS, TRANSFORMS)
def test_as_seen_takes_the_pixel_below_each_center(height, width, transform):
    mask = np.arange(height * width).reshape(height, width)
    seen = mask_as_seen(mask, transform)
    assert seen.dtype == np.int32
    lower, upper = slow_as_seen(mask, transform)
    np.testing.assert_array_equal(seen < 0, lower < 0)
    inside = seen >= 0
    for found, low, high in zip(*(np.divmod(a[inside], width) for a in (seen, lower, upper)), strict=True):
        assert ((found == low) | (found == high)).all()


def side_of_whole(transform, height, width):
    """Return height and width of the whole image after resizing, before it is cropped or padded."""
    blank = Transform(**{**transform.to_json(), **({"crop": None} if transform.fit == "crop" else {})})
    seen = np.nonzero(slow_as_seen(np.zeros((height, width), int), blank)[0] >= 0)
    return [int(np.ptp(place)) + 1 for place in seen]


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 40), st.integers(2, 40), TRANSFORMS)
def test_a_mask_is_where_its_image_is(height, width, transform):
    """A coordinate image goes through the transform; the mask's pixels are those nearest to its values."""
    y, x = np.indices((height, width))
    mask = y * width + x
    seen = mask_as_seen(mask, transform)
    inside = seen >= 0
    for axis, coordinate in ((0, y), (1, x)):
        size = (height, width)[axis]
        image = Image.fromarray(np.stack([coordinate * 5] * 3, axis=-1).astype(np.uint8))
        exact = Transform(**{**transform.to_json(), **NO_CHANGE})
        resized = exact(image).numpy()[0] * 255 / 5
        assert resized.shape == seen.shape
        found = np.divmod(seen, width)[axis]
        # At the border the window that the image is averaged over is cut off, so its mean is elsewhere.
        scale = max(1.0, size / side_of_whole(transform, height, width)[axis])
        clear = inside & (found >= scale + 1) & (found <= size - 2 - scale)
        assert (np.abs(resized - found)[clear] <= 0.5 + 0.15).all()  # 0.15: the image has whole values


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_a_checkerboard_of_half_cells_divides_every_cell_evenly(size):
    """A shift by one pixel anywhere would move a column of the board into the next cell."""
    grid, n = (4, 4), size // 4
    y, x = np.indices((size, size))
    board = (y // (n // 2) + x // (n // 2)) % 2
    counts = mask_on_grid(board, Transform(resize=size, crop=None), grid, 2)
    assert (counts == n * n // 2).all()
    left = mask_on_grid((x // (n // 2)) % 2, Transform(resize=size, crop=None), grid, 2)
    assert (left == n * n // 2).all()


@pytest.mark.parametrize(
    ("mask_side", "seen_side"), [(64, 32), (32, 64), (48, 32), (32, 48), (65, 32), (33, 64)]
)
def test_a_board_of_cells_is_found_in_the_cells_at_any_scale(mask_side, seen_side):
    """Cells of the mask's own pixels are found again, up to the mask's pixels that straddle an edge."""
    grid = (4, 4)
    cell = (2 * np.arange(mask_side) + 1) * 4 // (2 * mask_side)
    board = cell[:, None] * 4 + cell
    counts = mask_on_grid(board, Transform(resize=(seen_side, seen_side), crop=None), grid, 16)
    own = counts.reshape(16, 16)[np.arange(16), np.arange(16)]
    n = (seen_side // 4) ** 2
    if mask_side % 4 == 0:
        assert (own == n).all()
    straddling = max(1, -(-seen_side // mask_side))  # in the worst case one of the mask's pixels per edge
    assert (own >= (seen_side // 4 - straddling) ** 2).all()


def slow_counts(seen, grid, n_labels):
    counts = np.zeros((*grid, n_labels), int)
    for y in range(seen.shape[0]):
        for x in range(seen.shape[1]):
            cell_y = min(int((y + 0.5) / (seen.shape[0] / grid[0])), grid[0] - 1)
            cell_x = min(int((x + 0.5) / (seen.shape[1] / grid[1])), grid[1] - 1)
            if seen[y, x] >= 0:
                counts[cell_y, cell_x, seen[y, x]] += 1
    return counts


@settings(max_examples=200, deadline=None)
@given(PIXELS, PIXELS, st.integers(1, 9), st.integers(1, 9), st.integers(1, 5), st.integers(0, 99))
def test_counts_equal_a_slow_count(height, width, rows, columns, n_labels, seed):
    seen = np.random.default_rng(seed).integers(-1, n_labels, (height, width))
    counts = cell_counts(seen, (rows, columns), n_labels)
    assert counts.sum() == (seen >= 0).sum()
    # Where a pixel's center lies on an edge, floating point may round to either side.
    on_edge = ((2 * np.arange(height) + 1) * rows % (2 * height) == 0).any() or (
        (2 * np.arange(width) + 1) * columns % (2 * width) == 0
    ).any()
    if not on_edge:
        np.testing.assert_array_equal(counts, slow_counts(seen, (rows, columns), n_labels))


def test_cells_of_a_grid_that_is_not_square():
    seen = np.zeros((64, 96), int)
    seen[:32, :32], seen[32:, 64:] = 1, -1
    counts = cell_counts(seen, (2, 3), 2)
    assert counts.tolist() == [[[0, 1024], [1024, 0], [1024, 0]], [[1024, 0], [1024, 0], [0, 0]]]


def test_borders_are_ignored():
    ones = np.ones((4, 8), int)
    padded = mask_on_grid(ones, Transform(resize=None, crop=(8, 8), fit="pad"), (4, 1), 2)
    assert padded[:, 0].tolist() == [[0, 0], [0, 16], [0, 16], [0, 0]]
    beyond = mask_on_grid(ones, Transform(resize=None, crop=(8, 8)), (4, 1), 2)
    assert beyond[:, 0].tolist() == [[0, 0], [0, 16], [0, 16], [0, 0]]


def test_squashing_keeps_every_label():
    mask = np.repeat(np.arange(4), 3)[None].repeat(3, axis=0)  # 3 x 12: the crop would see the middle
    squashed = mask_on_grid(mask, Transform(resize=None, crop=(8, 16), fit="squash"), (1, 4), 4)
    np.testing.assert_array_equal(squashed[0], 32 * np.eye(4))
    cropped = mask_on_grid(mask, Transform(resize=8, crop=8), (1, 1), 4)
    assert (cropped[0, 0] > 0).tolist() == [False, True, True, False]


@pytest.mark.parametrize("transform", [lambda image: image, type("Mine", (Transform,), {})(resize=8, crop=8)])
def test_a_transform_of_unknown_geometry(transform):
    with pytest.raises(InputError, match="whose geometry is unknown"):
        mask_as_seen(np.zeros((4, 4), int), transform)


@pytest.mark.parametrize("shape", [(0, 4), (4,), (4, 4, 3)])
def test_an_array_that_is_no_mask(shape):
    with pytest.raises(ShapeError, match="need \\(h, w\\)"):
        mask_as_seen(np.zeros(shape, int), Transform(resize=8, crop=8))
