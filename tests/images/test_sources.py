"""Folders, lists of files, and what `resolve` makes of a name."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from hueprobe.errors import HueprobeWarning, ImageError, InputError
from hueprobe.images import ImageTable, from_folder, from_paths, resolve_images
from hueprobe.images.endings import IMAGE_ENDINGS


def test_class_folders_in_code_point_order(tmp_path, write_image):
    for name in ("b/2.png", "b/10.png", "a b/x.png", "a/deep/er/1.png", "a/9.png", "Z/1.png", "é/1.png"):
        write_image(name)
    table = from_folder(tmp_path)
    assert table.paths == (
        "Z/1.png", "a/9.png", "a/deep/er/1.png", "a b/x.png", "b/10.png", "b/2.png", "é/1.png",
    )  # fmt: skip
    assert table.classes == ("Z", "a", "a", "a b", "b", "b", "é")
    assert set(table.roots) == {str(tmp_path)}
    assert table.sizes == tuple(table.file(i).stat().st_size for i in range(len(table)))
    assert set(table.splits) == set(table.groups) == {None}


def test_the_order_does_not_depend_on_the_file_system(tmp_path, write_image, monkeypatch):
    for name in ("b/1.png", "a/2.png", "a/1.png", "c/1.png"):
        write_image(name)
    expected = from_folder(tmp_path)
    list_folder = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: sorted(list_folder(folder), reverse=True))
    assert from_folder(tmp_path) == expected


def test_flat_folder_has_no_classes(tmp_path, write_image):
    write_image("2.png")
    write_image("1.PNG")
    (tmp_path / "empty").mkdir()
    table = from_folder(tmp_path)
    assert table.paths == ("1.PNG", "2.png")
    assert table.classes == (None, None)


def test_relative_folder_gives_absolute_roots(tmp_path, write_image, monkeypatch):
    write_image("set/a/1.png")
    monkeypatch.chdir(tmp_path)
    assert from_folder("set") == from_folder(tmp_path / "set")


def test_endings_hidden_files_and_other_files(tmp_path, write_image):
    for i, ending in enumerate(IMAGE_ENDINGS):
        write_image(f"a/{i}{ending.upper() if i % 2 else ending}")
    for name in (".hidden.png", "._1.png", "notes.txt", "archive.png.zip"):
        write_image(f"a/{name}")
    (tmp_path / "a" / "png").write_text("a text")
    write_image("__MACOSX/1.png")
    write_image(".git/1.png")
    table = from_folder(tmp_path)
    assert len(table) == len(IMAGE_ENDINGS)
    assert table.class_names == ("a",)


def test_a_folder_with_the_name_of_an_image_is_a_folder(tmp_path, write_image):
    write_image("a/odd.png/1.png")
    assert from_folder(tmp_path).paths == ("a/odd.png/1.png",)


def test_images_beside_class_folders_are_counted(tmp_path, write_image):
    for name in ("a/1.png", "stray.png", "another.png"):
        write_image(name)
    with pytest.warns(HueprobeWarning, match=r"^2 images beside .* such as 'another.png'") as caught:
        assert from_folder(tmp_path).paths == ("a/1.png",)
    assert caught[0].filename == __file__


def test_class_folder_without_images_is_dropped(tmp_path, write_image):
    write_image("a/1.png")
    for name in ("b", "c/deeper"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.warns(HueprobeWarning, match="no image in class 'b', 'c'; dropped"):
        assert from_folder(tmp_path).class_names == ("a",)


def test_links_are_followed(tmp_path, write_image):
    write_image("elsewhere/1.png")
    write_image("set/a/1.png")
    (tmp_path / "set" / "a" / "link.png").symlink_to(tmp_path / "elsewhere" / "1.png")
    (tmp_path / "set" / "b").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    table = from_folder(tmp_path / "set")
    assert table.paths == ("a/1.png", "a/link.png", "b/1.png")
    (tmp_path / "alias").symlink_to(tmp_path / "set")
    assert from_folder(tmp_path / "alias").paths == table.paths


def test_cycles_of_links_end(tmp_path, write_image):
    write_image("set/a/1.png")
    write_image("set/b/1.png")
    (tmp_path / "set" / "a" / "up").symlink_to(tmp_path / "set")
    (tmp_path / "set" / "a" / "self").symlink_to(tmp_path / "set" / "a" / "self")
    (tmp_path / "set" / "a" / "across").symlink_to(tmp_path / "set" / "b")
    (tmp_path / "set" / "b" / "across").symlink_to(tmp_path / "set" / "a")
    assert from_folder(tmp_path / "set").paths == (
        "a/1.png", "a/across/1.png", "b/1.png", "b/across/1.png",
    )  # fmt: skip


def test_a_dangling_link_keeps_its_slot(tmp_path, write_image):
    write_image("a/1.png")
    (tmp_path / "a" / "0.png").symlink_to(tmp_path / "gone.png")
    table = from_folder(tmp_path)
    assert table.paths == ("a/0.png", "a/1.png")
    assert table.sizes[0] == -1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_no_image(tmp_path, write_image):
    write_image("a/1.png")
    os.mkfifo(tmp_path / "a" / "2.png")
    assert from_folder(tmp_path).paths == ("a/1.png",)


@pytest.mark.parametrize(
    "name",
    [
        "with space", "tab\there", "new\nline", "quote\"'", "comma,", "a\\b", "%20", "#",
        "ünï", "日本語", "🦆",
    ],
)  # fmt: skip
def test_odd_names(tmp_path, write_image, name):
    write_image(f"{name}/{name}.png")
    table = from_folder(tmp_path)
    assert table.paths == (f"{name}/{name}.png",)
    assert table.classes == (name,)
    assert table.file(0).is_file()


@pytest.mark.skipif(sys.platform == "darwin", reason="names are Unicode there")
def test_a_name_that_is_not_utf8_is_an_error(tmp_path, write_image):
    os.rename(write_image("a/1.png"), os.path.join(os.fsencode(tmp_path), b"a", b"\xff.png"))
    with pytest.raises(ImageError, match=r"'a/\\udcff.png' is not valid UTF-8"):
        from_folder(tmp_path)


def test_folders_that_are_none(tmp_path, write_image):
    image = write_image("1.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts" / "a").mkdir(parents=True)
    (tmp_path / "texts" / "a" / "readme.txt").write_text("no image")
    with pytest.raises(ImageError, match="gone' does not exist; give a folder of class folders"):
        from_folder(tmp_path / "gone")
    with pytest.raises(ImageError, match="is a file, not a folder"):
        from_folder(image)
    for name in ("empty", "texts"):
        with pytest.raises(ImageError, match=f"no images in '.*{name}'; .* jpg jpeg .* pnm "):
            from_folder(tmp_path / name)


def test_a_folder_that_cannot_be_read(tmp_path, write_image, monkeypatch):
    write_image("a/1.png")
    list_folder = os.listdir

    def refuse(folder):
        if os.fspath(folder).endswith("a"):
            raise PermissionError(13, "Permission denied")
        return list_folder(folder)

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(ImageError, match=r"cannot read folder '.*a': Permission denied"):
        from_folder(tmp_path)


def test_from_paths_keeps_order_and_duplicates(tmp_path, write_image, monkeypatch):
    names = ["b/1.png", "a/2.png", "b/1.png"]
    files = [write_image(name) for name in names]
    table = from_paths(files)
    assert table.paths == tuple(names)
    assert set(table.roots) == {str(tmp_path)}
    assert not table.labeled
    monkeypatch.chdir(tmp_path / "a")
    assert from_paths(["../b/1.png", "2.png", Path("../b/1.png")]) == table
    assert from_paths(["2.png"]).paths == ("2.png",)


def test_from_paths_of_missing_files(tmp_path, write_image):
    there = write_image("a.png")
    table = from_paths([tmp_path / "gone.png", there])
    assert table.paths == ("gone.png", "a.png")
    assert table.sizes[0] == -1
    with pytest.raises(ImageError, match=r"none of 1 image files exists, the first is '.*gone.png'"):
        from_paths([tmp_path / "gone.png"])
    with pytest.raises(ImageError, match="is a folder; give image files"):
        from_paths([there, tmp_path])


@pytest.mark.parametrize(("paths", "said"), [([], "empty"), ("a.png", "single path"), ([3], "got int")])
def test_from_paths_of_something_else(paths, said):
    with pytest.raises(InputError, match=said):
        from_paths(paths)


def test_resolve(tmp_path, write_image):
    image = write_image("set/a/1.png")
    folder = from_folder(tmp_path / "set")
    (tmp_path / "set" / "t.csv").write_text("path,class\na/1.png,a\n")
    assert resolve_images(folder) is folder
    assert resolve_images(tmp_path / "set") == resolve_images(str(tmp_path / "set")) == folder
    assert resolve_images(tmp_path / "set" / "t.csv") == folder
    assert (
        resolve_images([image])
        == resolve_images((str(image),))
        == resolve_images(image)
        == from_paths([image])
    )


def test_resolve_of_nothing_says_what_is_accepted(tmp_path):
    accepted = "a folder of class folders.* folder of images.*csv.*parquet.*image files.*Dataset.*'demo'"
    with pytest.raises(ImageError, match=f"no images at 'caltech'; give {accepted}"):
        resolve_images("caltech")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ImageError, match=rf"'.*notes.txt' is neither .*; give {accepted}"):
        resolve_images(tmp_path / "notes.txt")
    with pytest.raises(InputError, match="cannot take images from NoneType"):
        resolve_images(None)
    with pytest.raises(InputError, match="empty"):
        resolve_images([])


def test_tables_do_not_load_torch(tmp_path, write_image):
    write_image("a/1.png")
    code = (
        "import sys, hueprobe as hp; assert 'PIL' not in sys.modules; "
        "hp.images.split_table(hp.images.from_folder(sys.argv[1]), train=.5, seed=0); "
        "hp.images.show_image(hp.images.resolve_images(sys.argv[1]), 0); "
        "print(sorted({'torch', 'torchvision', 'matplotlib', 'skimage'} & set(sys.modules)))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there():
    import hueprobe.images as images

    for name in images.__all__:
        assert getattr(images, name) is not None
    assert dir(images) == sorted(images.__all__)
    with pytest.raises(AttributeError, match="attribute utils"):
        _ = images.utils
    assert callable(images.demo) and isinstance(ImageTable, type)


@pytest.mark.realdata
def test_real_images(shared):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = from_folder(shared / "data" / "images" / "caltech101_20x40")
    assert len(table) == 800
    assert len(table.class_names) == 20
    assert sum(table.sizes) == 12_539_481  # as its README counts
