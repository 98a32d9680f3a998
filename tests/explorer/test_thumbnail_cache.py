"""Thumbnails are kept outside the memory, and never longer than they are right."""

import os
import shutil
from pathlib import Path
from unittest import mock

import pytest

from hueprobe import images
from hueprobe.explorer import thumbnail_cache
from hueprobe.explorer.thumbnails import thumbnail_bytes
from hueprobe.images import show_image
from tests.explorer.served import (
    TOKEN,
    draw,
    exploration,
    made_memory,
    served,
)


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    return made_memory(tmp_path_factory.mktemp("explored"))


@pytest.fixture(scope="module")
def queries(tmp_path_factory):
    folder = draw(tmp_path_factory.mktemp("queries") / "q", 2, seed=1)
    (folder / "cat" / "2.png").write_bytes(b"damaged")
    return folder


def get(client, path, **options):
    return client.get(f"/{TOKEN}/{path}", **options)


def test_thumbnails_show_what_the_network_saw_and_are_kept_outside_the_memory(memory, queries, tmp_path):
    def listing():
        return sorted((path, path.stat().st_mtime_ns) for path in memory.path.rglob("*"))

    before, cache = listing(), tmp_path / "cache"
    asked = exploration(memory, queries=queries)
    (one,) = asked.explored
    with served(asked, cache) as (client, _):
        for kind, table, row in (("memory", memory.images, 5), ("query", asked.queries, 3)):
            response = get(client, f"thumbnail?memory=0&kind={kind}&row={row}")
            assert response.headers["content-type"] == "image/webp"
            expected = thumbnail_bytes(show_image(table, row), one.transform, asked.thumbnails)
            assert response.content == expected
            with mock.patch("hueprobe.explorer.thumbnail_cache.show_image", side_effect=AssertionError):
                assert get(client, f"thumbnail?memory=0&kind={kind}&row={row}").content == expected
        damaged = get(client, "thumbnail?memory=0&kind=query&row=2")
        assert damaged.status_code == 404 and "not an image of a known format" in damaged.json()["error"]
        assert get(client, "thumbnail?memory=0&kind=query&row=5").status_code == 404
    assert len(list(cache.rglob("*.webp"))) == 2 and listing() == before


@pytest.fixture
def cache(tmp_path, memory):
    source = shutil.copytree(Path(memory.images.roots[0]), tmp_path / "copies")
    table = images.from_folder(source)
    explored = exploration(memory)

    def of(folder=tmp_path / "cache", **options):
        made = thumbnail_cache.ThumbnailCache(folder, explored.thumbnails, **options)
        return lambda i: made.get(explored.explored[0], table, i)

    return of, table, tmp_path / "cache"


def test_a_changed_image_has_another_thumbnail(cache):
    of, table, folder = cache
    get_one = of()
    files = [table.file(i) for i in (0, 5)]
    size = max(file.stat().st_size for file in files)
    for file in files:  # what follows a PNG does not count
        file.write_bytes(file.read_bytes().ljust(size, b"\0"))
    first = get_one(0)
    shutil.copy(files[1], files[0])
    os.utime(files[0], ns=(1, 1))
    assert get_one(0) == of(folder.with_name("other"))(5) != first


def test_a_torn_thumbnail_is_made_again(cache):
    of, _, folder = cache
    whole = of()(0)
    (file,) = folder.rglob("*.webp")
    for torn in (whole[:-1], b"", b"\0" * len(whole)):
        file.write_bytes(torn)
        assert of()(0) == whole == file.read_bytes()


def test_the_least_recently_used_thumbnails_are_removed(cache):
    of, _, folder = cache
    sizes = [len(of(folder.with_name("sizes"))(i)) for i in range(8)]
    get_one = of(most_bytes=sum(sizes[:5]))
    for i in range(5):
        get_one(i)
        for age, path in enumerate(sorted(folder.rglob("*.webp"), key=lambda path: path.stat().st_mtime_ns)):
            os.utime(path, ns=(age, age))
    get_one(0)  # used last
    get_one(5)
    left = {path.read_bytes() for path in folder.rglob("*.webp")}
    made = [of(folder.with_name("sizes"))(i) for i in range(8)]
    assert made[0] in left and made[5] in left and made[1] not in left
    assert sum(map(len, left)) <= 0.8 * sum(sizes[:5])


def test_a_cache_that_cannot_be_written_does_not_matter(cache):
    of, _, folder = cache
    whole = of()(0)
    blocked = folder.with_name("blocked")
    blocked.write_text("a file where a folder should be")
    assert of(blocked)(0) == whole
