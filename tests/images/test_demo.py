"""The demo's images."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hueprobe.errors import ImageError, MissingDependencyError
from hueprobe.images import DEMO_IMAGES, demo, from_folder, resolve_images

pytestmark = [pytest.mark.demo, pytest.mark.slow]


@pytest.fixture(scope="module")
def made(tmp_path_factory, demo_extra):
    """The demo's images, written once; not to be changed."""
    folder = tmp_path_factory.mktemp("demo") / "images"
    return folder, demo(folder)


@pytest.fixture
def copy(made, tmp_path):
    shutil.copytree(made[0], tmp_path / "copy")
    return tmp_path / "copy"


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_thirteen_classes_half_in_memory(made):
    folder, table = made
    assert len(table) == 13 * 24
    assert table.class_names == tuple(image.name for image in DEMO_IMAGES)
    assert table.paths[24 + 3] == "camera/camera_03.png"
    assert set(Counter(zip(table.classes, table.splits, strict=True)).values()) == {12}
    assert set(table.splits) == {"memory", "query"}
    assert set(table.groups) == {None}
    assert from_folder(folder).paths == table.paths
    assert sorted(os.listdir(folder.parent)) == ["images"]


def test_patches_put_together_are_the_gray_image(made):
    """Nothing is lost but the remainder of a division by 4 and 6, and no pixel is there twice."""
    folder, _ = made
    data = Path(importlib.util.find_spec("skimage").submodule_search_locations[0]) / "data"
    for source in DEMO_IMAGES:
        with Image.open(data / source.file) as image:
            whole = np.asarray(image.convert("L"))
        patches = []
        for i in range(24):
            with Image.open(folder / source.name / f"{source.name}_{i:02d}.png") as patch:
                assert patch.mode == "L"
                patches.append(np.asarray(patch))
        columns = 6 if whole.shape[1] >= whole.shape[0] else 4
        together = np.block([patches[i : i + columns] for i in range(0, 24, columns)])
        rows_lost, columns_lost = np.subtract(whole.shape, together.shape)
        assert 0 <= rows_lost < 6 and 0 <= columns_lost < 6
        np.testing.assert_array_equal(together, whole[: together.shape[0], : together.shape[1]])
        # nearer to square than the other way round
        other = (whole.shape[0] / columns) / (whole.shape[1] / (24 // columns))
        assert abs(np.log(patches[0].shape[0] / patches[0].shape[1])) <= abs(np.log(other)) + 0.02


def test_cell_is_the_one_portrait(made):
    with Image.open(made[0] / "cell" / "cell_00.png") as patch:
        assert patch.size == (550 // 4, 660 // 6)


def test_a_complete_folder_is_left_as_it_is(copy, made, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)  # not even scikit-image is needed
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    table = demo(copy)
    assert table.paths == made[1].paths and table.splits == made[1].splits
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


@pytest.mark.parametrize("harm", ["lost image", "changed image", "lost sums", "changed split", "cut table"])
def test_a_damaged_folder_is_made_again(copy, made, harm):
    expected = contents(copy)
    table, image = copy / "images.csv", copy / "coins" / "coins_07.png"
    if harm == "lost image":
        image.unlink()
    elif harm == "changed image":
        Image.new("L", (64, 75)).save(image)
    elif harm == "lost sums":
        (copy / "SHA256SUMS").unlink()
    elif harm == "changed split":
        table.write_text(table.read_text().replace("memory", "query", 1))
    else:
        table.write_text("path,class\n")
    demo(copy)
    assert contents(copy) == expected


def test_an_older_layout_with_right_sums_is_made_again(copy, made):
    """Checksums alone would take the split of another version."""
    expected = contents(copy)
    from hueprobe.files import sha256_of

    table, sums = copy / "images.csv", copy / "SHA256SUMS"
    before = sha256_of(table)
    table.write_text(table.read_text().replace("memory", "train"))
    sums.write_text(sums.read_text().replace(before, sha256_of(table)))
    assert set(demo(copy).splits) == {"memory", "query"}
    assert contents(copy) == expected


def test_two_builds_are_the_same(copy, made, tmp_path):
    demo(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(copy)


def test_checksums_are_those_of_sha256sum(made):
    tool = shutil.which("sha256sum")
    if tool is None:
        pytest.skip("no sha256sum here")
    subprocess.run([tool, "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=made[0], check=True)


def test_an_empty_folder_is_filled(made, tmp_path):
    (tmp_path / "new").mkdir()
    assert len(demo(tmp_path / "new")) == 312


def test_other_peoples_folders_are_left_alone(copy, tmp_path):
    (copy / "coins" / "mine.png").write_bytes(b"mine")
    (copy / "SHA256SUMS").unlink()
    with pytest.raises(
        ImageError, match=r"contains 'mine.png', which is not part of the demo; choose another folder"
    ):
        demo(copy)
    assert (copy / "coins" / "mine.png").read_bytes() == b"mine"
    (tmp_path / "file").write_text("")
    with pytest.raises(ImageError, match="is not a folder"):
        demo(tmp_path / "file")


def test_a_failed_build_leaves_nothing(made, tmp_path, monkeypatch):
    monkeypatch.setattr(Image.Image, "save", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(
        ImageError, match=r"cannot write the demo's images to .*: No space left; give another"
    ):
        demo(tmp_path / "new")
    assert os.listdir(tmp_path) == []


def test_without_scikit_image(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'hueprobe\[demo\]'"):
        demo(tmp_path / "new")
    assert os.listdir(tmp_path) == []


def test_scikit_image_without_a_image(tmp_path, monkeypatch):
    class Spec:
        submodule_search_locations = (str(tmp_path / "skimage"),)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: Spec)
    with pytest.raises(MissingDependencyError, match=r"has no image 'brick.png' .* pip install --upgrade"):
        demo(tmp_path / "new")


def test_default_folder_is_in_the_users_cache(copy, monkeypatch, tmp_path):
    if sys.platform in ("darwin", "win32"):
        pytest.skip("the cache is elsewhere there")
    (tmp_path / "cache" / "hueprobe").mkdir(parents=True)
    copy.rename(tmp_path / "cache" / "hueprobe" / "demo-images")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert resolve_images("demo") == demo()
    assert demo().roots[0] == str(tmp_path / "cache" / "hueprobe" / "demo-images")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "cache").rename(tmp_path / ".cache")
    assert demo().roots[0] == str(tmp_path / ".cache" / "hueprobe" / "demo-images")


def test_scikit_image_is_not_imported(copy):
    code = (
        "import sys, hueprobe as hp; hp.images.demo(sys.argv[1]); "
        "assert not {'skimage', 'torch', 'scipy'} & set(sys.modules)"
    )
    (copy / "SHA256SUMS").unlink()
    subprocess.run([sys.executable, "-c", code, copy], check=True)


def test_every_image_has_a_title_a_source_and_a_free_licence():
    assert len({image.name for image in DEMO_IMAGES}) == 13
    for image in DEMO_IMAGES:
        assert image.title and image.source
        assert image.licence in ("CC0", "public domain", "no known copyright restrictions")
