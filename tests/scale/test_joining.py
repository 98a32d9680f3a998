"""Parts and joins that are killed at any moment continue, and end as undisturbed ones."""

import contextlib
import json
import os
import shutil

import pytest

import hueprobe as hp
from hueprobe import build_memory
from hueprobe.errors import (
    MemoryFormatError,
)
from hueprobe.memory import verify_memory, writer
from hueprobe.scale import build_part, join
from tests.scale.sets import Killed, build_all, contents, killed


def killed_at(monkeypatch, owner, name, at):
    """Let the `at`-th call of a function (from 0) raise Killed instead; return the number of calls so far."""
    function, calls = getattr(owner, name), []

    def counted(*arguments, **options):
        calls.append(arguments)
        if len(calls) == at + 1:
            raise Killed
        return function(*arguments, **options)

    monkeypatch.setattr(owner, name, counted)
    return calls


@pytest.mark.parametrize("at", range(8))
def test_a_part_killed_after_any_step_continues(tmp_path, images, options, at):
    """Steps: the list of the whole, that of the part, its four shards, its end."""
    whole = contents(build_part(tmp_path / "undisturbed", images, "1/2", **options).path)
    with pytest.MonkeyPatch.context() as patched:
        calls = killed_at(patched, writer, "append_step", at)
        try:
            build_part(tmp_path / "m", images, "1/2", **options)
            assert at >= len(calls) == 6
        except Killed:
            pass
    part = build_part(tmp_path / "m", images, "1/2", **options)
    assert contents(part.path) == whole


# Two links for each of six shards; per shard a table and a line of the ledger.
MOMENTS = {"link": 12, "fsync": 21, "replace": 6, "rename": 1, "unlink": 30, "rmdir": 5}


@pytest.mark.parametrize("name", MOMENTS)
@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_a_join_killed_at_any_moment_continues(tmp_path, images, options, monkeypatch, name, links):
    """Before every call that changes the disk, in turn; where there are no links, files are renamed."""
    whole = contents(build_memory(tmp_path / "whole", images, **options).path)
    build_all(tmp_path / "all", images, 3, **options)
    if not links:
        monkeypatch.setattr(os, "link", no_links)
        if name == "link":
            return
    at, done = 0, False
    while not done:
        shutil.copytree(tmp_path / "all.parts", tmp_path / "m.parts")
        with pytest.MonkeyPatch.context() as patched:
            killed_at(patched, os, name, at)
            try:
                join(tmp_path / "m")
                done = True
            except Killed:
                assert_sound(tmp_path, whole)
        assert contents(join(tmp_path / "m").path) == whole, f"{name} {at}"
        assert not (tmp_path / "m.parts").exists()
        assert verify_memory(tmp_path / "m").ok
        shutil.rmtree(tmp_path / "m")
        at += 1
    print(f"{name}: {at - 1} moments")
    assert at - 1 >= MOMENTS[name] or not links


def no_links(*_, **__):
    raise PermissionError(1, "Operation not permitted")


def assert_sound(folder, whole):
    """What a killed join leaves is the whole memory, or the beginning of one."""
    if (folder / "m").exists():
        assert contents(folder / "m") == whole
        return
    made = folder / "m.parts" / "whole"
    *lines, rest = (made / "ledger.jsonl").read_bytes().split(b"\n")
    assert rest == b"" and whole["ledger.jsonl"].startswith(b"\n".join([*lines, b""]))
    for line in lines:
        for name in json.loads(line)["files"]:
            assert (made / name).read_bytes() == whole[name]


def test_a_join_without_links_renames(tmp_path, images, options, monkeypatch):
    build_all(tmp_path / "m", images, 2, **options)
    monkeypatch.setattr(os, "link", no_links)
    places = {p.stat().st_ino for p in (tmp_path / "m.parts").glob("000*/shards/*.vectors.npy")}
    memory = join(tmp_path / "m")
    assert {p.stat().st_ino for p in memory.path.glob("shards/*.vectors.npy")} == places
    assert contents(memory.path) == contents(build_memory(tmp_path / "w", images, **options).path)


def test_vectors_are_neither_copied_nor_read(tmp_path, images, options, monkeypatch):
    build_all(tmp_path / "m", images, 2, **options)
    files = list((tmp_path / "m.parts").glob("000*/shards/*.vectors.npy"))
    places = {file.stat().st_ino for file in files}
    opened = type(files[0]).open

    def watched(path, mode="r", *arguments, **named):
        assert mode != "rb" or not path.name.endswith("vectors.npy"), f"{path} is opened"
        return opened(path, mode, *arguments, **named)

    monkeypatch.setattr(type(files[0]), "open", watched)
    monkeypatch.setattr("hueprobe.scale.joining.open_filled", lambda path, **_: path)
    memory = join(tmp_path / "m")
    assert {file.stat().st_ino for file in memory.glob("shards/*.vectors.npy")} == places


def test_parts_left_by_a_killed_join_are_removed_only_if_they_are_in_the_memory(tmp_path, images, options):
    build_all(tmp_path / "all", images, 2, **options)
    shutil.copytree(tmp_path / "all.parts", tmp_path / "m.parts")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("hueprobe.scale.joining.remove_parts", killed)
        with pytest.raises(Killed):
            join(tmp_path / "m")
    other = build_part(tmp_path / "x", images, "2/2", **{**options, "dtype": "float32"}).path
    assert hp.open_memory(tmp_path / "m").complete
    shutil.move(tmp_path / "m.parts" / "0002-of-0002", tmp_path / "kept")
    shutil.move(other, tmp_path / "m.parts" / "0002-of-0002")
    with pytest.raises(MemoryFormatError, match=r"0002-of-0002 is no part of .*m, which is a memory already"):
        join(tmp_path / "m")
    shutil.rmtree(tmp_path / "m.parts" / "0002-of-0002")
    shutil.move(tmp_path / "kept", tmp_path / "m.parts" / "0002-of-0002")
    join(tmp_path / "m")
    assert not (tmp_path / "m.parts").exists()


def test_a_part_is_not_built_while_a_join_is_half_done(tmp_path, images, options):
    build_all(tmp_path / "m", images, 3, **options)
    with pytest.MonkeyPatch.context() as patched:
        killed_at(patched, writer, "append_step", 2)
        with pytest.raises(Killed):
            join(tmp_path / "m")
    with pytest.raises(
        MemoryFormatError, match=r"the parts of .*m are being joined; run `hueprobe join .*m` again"
    ):
        build_part(tmp_path / "m", images, "1/3", **options, overwrite=True)
    assert join(tmp_path / "m").complete


def test_a_killed_beginning_is_begun_again(tmp_path, images, options, monkeypatch):
    """Before every call that changes the disk until parts.json is there."""
    whole = contents(build_part(tmp_path / "undisturbed", images, "1/2", **options).path.parent)
    for name in ("fsync", "replace", "mkdir"):
        for at in range(12):
            with pytest.MonkeyPatch.context() as patched:
                killed_at(patched, os, name, at)
                with contextlib.suppress(Killed):
                    build_part(tmp_path / "m", images, "1/2", **options)
            build_part(tmp_path / "m", images, "1/2", **options)
            assert contents(tmp_path / "m.parts") == whole, (name, at)
            shutil.rmtree(tmp_path / "m.parts")
