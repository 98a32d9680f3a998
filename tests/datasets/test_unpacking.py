"""Archives, whole ones and those that are broken or try to leave their folder."""

import io
import stat
import tarfile
import zipfile

import pytest

from hueprobe.datasets.unpacking import is_archive, unpack
from hueprobe.errors import DownloadError

CONTENT = bytes(range(256)) * 20


def tar(path, *members, mode="w:gz"):
    """Write a tar of (name or TarInfo, bytes)."""
    with tarfile.open(path, mode) as file:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def files_in(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(
    ("ending", "mode"), [(".tar", "w"), (".tgz", "w:gz"), (".tar.bz2", "w:bz2"), (".tar.xz", "w:xz")]
)
def test_tars_are_unpacked(tmp_path, ending, mode):
    archive = tar(tmp_path / f"a{ending}", ("./s/a.jpg", CONTENT), ("s/b/c.txt", b""), mode=mode)
    assert is_archive(archive.name)
    assert unpack(archive, tmp_path / "out") == 2
    assert files_in(tmp_path / "out") == {"s/a.jpg": CONTENT, "s/b/c.txt": b""}


def test_zips_are_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.mkdir("s")
        file.writestr("s/a.jpg", CONTENT)
    assert unpack(tmp_path / "a.zip", tmp_path / "out") == 1
    assert files_in(tmp_path / "out") == {"s/a.jpg": CONTENT}


@pytest.mark.parametrize("name", ["../evil", "s/../../evil", "/evil", "C:/evil", "s\\..\\evil"])
def test_members_that_leave_are_refused(tmp_path, name):
    archive = tar(tmp_path / "a.tar", (name, CONTENT), mode="w")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(zipfile.ZipInfo("x"), b"")
        info = zipfile.ZipInfo("x")
        info.filename = name  # the constructor would mend it
        file.writestr(info, CONTENT)
    for path in (archive, tmp_path / "a.zip"):
        with pytest.raises(DownloadError, match="which is not allowed: it "):
            unpack(path, tmp_path / "out")
    assert not list(tmp_path.rglob("evil"))
    assert set(files_in(tmp_path)) <= {"a.tar", "a.zip", "out/x"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    archive = tar(tmp_path / "a.tgz", ("a", CONTENT), (special("s", kind, "/etc"), b""), ("s/passwd", b"x"))
    with pytest.raises(DownloadError, match=r"contains 's', a link or a device; it is not unpacked"):
        unpack(archive, tmp_path / "out")
    assert files_in(tmp_path / "out") == {"a": CONTENT}


def test_links_in_a_zip_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        info = zipfile.ZipInfo("s")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/etc")
    with pytest.raises(DownloadError, match="contains 's', a link"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".zip"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_archives_cut_short_are_told(tmp_path, ending, share):
    archive = tmp_path / f"a{ending}"
    rng_bytes = bytes((i * 2654435761 >> 7) & 255 for i in range(40_000))
    if ending == ".zip":
        with zipfile.ZipFile(archive, "w") as file:
            for i in range(4):
                file.writestr(f"s/{i}", rng_bytes)
    else:
        tar(archive, *((f"s/{i}", rng_bytes) for i in range(4)), mode=f"w:{ending[5:]}")
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(DownloadError, match=r"damaged or truncated|is truncated|contains no file"):
        unpack(archive, tmp_path / "out")


def test_a_tar_cut_between_two_members_is_told(tmp_path):
    archive = tar(tmp_path / "a.tar", ("a", bytes(512)), ("b", bytes(512)), mode="w")
    archive.write_bytes(archive.read_bytes()[:1024])
    with pytest.raises(DownloadError, match="is truncated: it has no end mark"):
        unpack(archive, tmp_path / "out")


def test_a_name_twice_or_a_file_that_is_a_folder_is_refused(tmp_path):
    for members in ((("a", b"1"), ("a", b"2")), (("a", b"1"), ("a/b", b"2"))):
        archive = tar(tmp_path / "a.tgz", *members)
        with pytest.raises(DownloadError, match=r"twice; it is not used"):
            unpack(archive, tmp_path / f"out{members[1][0][-1]}")
