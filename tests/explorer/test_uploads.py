"""Images that a reader uploads: read like files, within limits, and kept for a while."""

import io
import struct
import threading
import tracemalloc
import zlib
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import ExifTags, Image

from hueprobe import KernelDensityClassifier
from hueprobe.explorer import uploads
from hueprobe.explorer.session import ServerSession
from hueprobe.explorer.thumbnails import thumbnail_bytes
from hueprobe.explorer.typed_arrays import decoded
from hueprobe.explorer.uploads import Upload, Uploads
from hueprobe.images import read_image
from tests.explorer.served import ORIGIN, TOKEN, K, exploration, made_memory, served

PNG = {**ORIGIN, "content-type": "image/png"}


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    return made_memory(tmp_path_factory.mktemp("explored"))


@pytest.fixture
def own(memory, tmp_path):
    with served(exploration(memory), tmp_path / "cache") as (client, session):
        yield client, session


def post(client, data, *, number=0, name=None, headers=PNG):
    params = {"memory": number} if name is None else {"memory": number, "name": name}
    return client.post(f"/{TOKEN}/upload", params=params, content=data, headers=headers)


def noise(seed, form="PNG", **options):
    pixels = np.random.default_rng(seed).integers(0, 256, (31, 43, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def turned():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return noise(4, "JPEG", exif=exif)


@pytest.mark.parametrize("data", [noise(3), turned(), noise(5, "WEBP")], ids=["png", "turned jpeg", "webp"])
def test_an_upload_is_answered_like_the_file(memory, own, tmp_path, data):
    file = tmp_path / "file"
    file.write_bytes(data)
    result = KernelDensityClassifier(memory, k=K).classify([file])
    response = post(own[0], data, name="mine.png")
    assert response.status_code == 200
    record = response.json()["queries"]
    np.testing.assert_allclose(decoded(record["likelihood"]), result.likelihood, rtol=1e-6)
    np.testing.assert_allclose(decoded(record["distance"]).reshape(-1), result.matches.distance, rtol=1e-6)
    ids = decoded(record["ids"]).reshape(-1)
    np.testing.assert_array_equal(ids, result.matches.image * 36 + result.matches.match_cell)
    assert record["paths"] == ["mine.png"] and response.json()["path"] == "mine.png"
    shown = own[0].get(f"/{TOKEN}/thumbnail?memory=0&kind=upload&row={response.json()['row']}")
    one = exploration(memory)
    assert shown.content == thumbnail_bytes(read_image(data)[0], one.explored[0].transform, one.thumbnails)


def test_a_copy_of_a_memory_image_does_not_match_itself(memory, own):
    data = Path(memory.images.file(5)).read_bytes()
    record = post(own[0], data).json()["queries"]
    assert not (decoded(record["ids"]) // 36 == 5).any()
    of_memory = own[0].get(f"/{TOKEN}/memory-image?memory=0&row=5").json()["queries"]
    np.testing.assert_allclose(decoded(record["likelihood"]), decoded(of_memory["likelihood"]), rtol=1e-4)


def test_an_upload_can_be_asked_in_the_other_memory(memory, tmp_path):
    with served(exploration(memory, made_memory(tmp_path)), tmp_path / "cache") as (client, _):
        said = post(client, noise(3), name="mine.png").json()
        again = client.get(f"/{TOKEN}/query?memory=1&kind=upload&row={said['row']}").json()
        assert again["queries"] == said["queries"]


def hundred_megapixels():
    file = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(file, "PNG")
    return file.getvalue()


def png(width, height, *chunks):
    """Return a PNG file with a header and any other chunks."""
    head = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    parts = (struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
             for kind, body in (head, *chunks, (b"IEND", b"")))  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


ZEROS = zlib.compress(bytes(200 << 20), 9)
BOMBS = {
    "100 megapixels": hundred_megapixels,
    "pixels in the header": lambda: png(50_000, 50_000, (b"IDAT", ZEROS)),
    "text chunk": lambda: png(30, 30, (b"zTXt", b"a\0\0" + ZEROS), (b"IDAT", zlib.compress(bytes(30 * 91)))),
    "color profile": lambda: png(
        30, 30, (b"iCCP", b"a\0\0" + ZEROS), (b"IDAT", zlib.compress(bytes(30 * 91)))
    ),
    "more rows than promised": lambda: png(30, 30, (b"IDAT", ZEROS)),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_do_not_go_off(own, bomb):
    data = BOMBS[bomb]()
    assert len(data) < 1 << 20
    post(own[0], noise(0))  # the network is loaded
    tracemalloc.start()
    response = post(own[0], data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 << 20
    if bomb in ("100 megapixels", "pixels in the header"):
        assert response.status_code == 422 and "HUEPROBE_MAX_PIXELS" in response.json()["error"]
        assert own[1].uploads.get(1) is None
    else:
        assert response.status_code in (200, 422)
    assert post(own[0], noise(1)).status_code == 200


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"Dear reader", "the image cannot be read: not an image of a known format"),
        (
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            "the image cannot be read: not an image of a known format",
        ),
        (b"", "the file is empty"),
        (noise(0)[:100], "the image cannot be read: "),
    ],
    ids=["text", "svg", "empty", "truncated"],
)
def test_what_is_no_image_is_refused_with_the_reason(own, data, reason):
    response = post(own[0], data)
    assert response.status_code == 422 and response.json()["error"].startswith(reason)
    assert "Traceback" not in response.text
    assert own[1].uploads.get(0) is None


def test_a_body_that_is_too_large_is_refused_before_it_is_read(own, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_BYTES", 3 << 20)
    sent = []

    def parts(n, size):  # without a length
        for i in range(n):
            sent.append(i)
            yield bytes(size)

    with mock.patch.object(ServerSession, "upload") as asked:
        announced = post(own[0], bytes((3 << 20) + 1))
        counted = post(own[0], parts(4, 1 << 20))
        lying = post(own[0], parts(4, 1 << 20), headers={**PNG, "content-length": "10"})
    for response in (announced, counted, lying):
        assert response.status_code == 413
        assert response.json() == {
            "error": "the file is larger than 3 MB; query it with `hueprobe query` instead"
        }
    asked.assert_not_called()
    assert post(own[0], noise(0) + bytes((3 << 20) - len(noise(0)))).status_code == 200


def test_an_announced_size_is_refused_without_reading_anything(own):
    import asyncio

    from tests.explorer.served import HOST

    read, sent = [], []

    async def receive():
        read.append(1)
        return {"type": "http.request", "body": bytes(100), "more_body": True}

    async def send(message):
        sent.append(message)

    headers = {"host": HOST, **PNG, "content-length": str((64 << 20) + 1)}
    scope = {
        "type": "http", "method": "POST", "path": f"/{TOKEN}/upload", "query_string": b"memory=0",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    asyncio.run(own[0].app(scope, receive, send))
    assert sent[0]["status"] == 413 and not read


@pytest.mark.parametrize(
    "more", [{"content-type": "text/plain"}, {"content-type": ""}, {"content-encoding": "gzip"},
             {"content-type": "multipart/form-data; boundary=x"}]
)  # fmt: skip
def test_other_kinds_of_bodies_are_refused(own, more):
    response = post(own[0], noise(0), headers={**PNG, **more})
    assert response.status_code == 415 and "one image file" in response.json()["error"]


def test_two_uploads_at_once_get_their_own_answers(own):
    alone = [post(own[0], noise(seed)).json()["queries"] for seed in range(6)]
    found = {}

    def upload(seed):
        found[seed] = post(own[0], noise(seed), name=f"{seed}.png").json()

    threads = [threading.Thread(target=upload, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found[seed]["row"] for seed in range(6)) == list(range(6, 12))
    for seed in range(6):
        assert found[seed]["path"] == f"{seed}.png"
        assert found[seed]["queries"]["distance"] == alone[seed]["distance"]
        assert found[seed]["queries"]["ids"] == alone[seed]["ids"]


def test_the_last_twenty_are_kept(own):
    data = noise(0)
    rows = [post(own[0], data).json()["row"] for _ in range(22)]
    assert rows == list(range(22))

    def status(row):
        return own[0].get(f"/{TOKEN}/thumbnail?memory=0&kind=upload&row={row}").status_code

    assert [status(row) for row in (0, 1, 2, 21)] == [404, 404, 200, 200]
    assert own[0].get(f"/{TOKEN}/query?memory=0&kind=upload&row=1").status_code == 404


def test_large_uploads_are_dropped_sooner(monkeypatch):
    monkeypatch.setattr(uploads, "_MOST_BYTES_KEPT", 100)
    kept = Uploads()
    for size in (40, 40, 40, 300):
        kept.add(Upload("a", bytes(size)))
        here = [row for row in range(4) if kept.get(row) is not None]
    assert here == [3]


def test_names_are_shown_and_nothing_else(own):
    hostile = "</script>\"'&\u202e\n\0../../x" + "y" * 500
    said = post(own[0], noise(0), name=hostile).json()
    assert said["path"] == ("</script>\"'&../../x" + "y" * 500)[: len(said["path"])]
    assert len(said["path"]) < 200 and "\n" not in said["path"] and "\u202e" not in said["path"]
    assert post(own[0], noise(0)).json()["path"] == "upload"
