"""Downloads from a server in this process: whole, wrong, missing, cut short, hostile."""

import hashlib
import http.server
import io
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image

from hueprobe.datasets import fetch_set, from_manifest, load_manifest, verify_set
from hueprobe.datasets.torchvision_sets import open_datasets
from hueprobe.errors import DownloadError
from tests.tiny_sets import manifest_of, write_image


def image(i):
    file = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), i, np.uint8)).save(file, "PNG")
    return file.getvalue()


def archive(members=None):
    """Return the bytes of a tar of two classes with two images each, or of the members given."""
    members = members or {
        f"images/{name}/{i}.png": image(i + 10 * len(name)) for name in ("a", "bb") for i in (0, 1)
    }
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture
def server():
    """Serve the bytes put into `server.files`, and count what was asked for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self, *, body=True):
            content = self.server.files.get(self.path)
            self.server.asked.append((self.command, self.path, self.headers["Accept-Encoding"]))
            if self.path in self.server.moved:
                self.send_response(302)
                self.send_header("Location", self.server.moved[self.path])
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content) + self.server.withheld))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def do_HEAD(self):
            self.do_GET(body=False)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.asked, server.withheld = (
            {"/a.tar": archive(), "/train.txt": b"a/0.png\nbb/1.png\n"},
            [],
            0,
        )
        server.moved = {}
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def described(server, *, images=4, archive_keys=None, steps=()):
    """Return a manifest whose set the server has."""
    content = server.files.get("/a.tar", b"")
    known = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    files = [
        {"url": f"{server.url}/a.tar", "to": "shapes", **(known if archive_keys is None else archive_keys)},
        {"url": f"{server.url}/train.txt", "to": "shapes"},
    ]
    return manifest_of(
        obtain={"way": "download", "files": files, "steps": list(steps)},
        layout={"kind": "class_folders", "folder": "shapes", "pictures": "images"},
        tables=[{"file": "train.txt", "columns": ["picture"], "set": {"split": "train"}}],
        counts={"images": images, "classes": 2},
    )


def test_a_set_is_fetched_checked_unpacked_and_put_in_place(server, tmp_path, capfd):
    manifest = described(server)
    fetched = fetch_set(manifest, root=tmp_path / "data")
    assert (fetched.was_there, fetched.n_images) == (False, 4)
    table = from_manifest(manifest, root=tmp_path / "data")
    assert dict(zip(table.paths, table.splits, strict=True)) == {
        "a/0.png": "train", "a/1.png": None, "bb/0.png": None, "bb/1.png": "train",
    }  # fmt: skip
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"shapes"}
    assert {path.name for path in (tmp_path / "data" / "shapes").iterdir()} == {"images", "train.txt"}
    assert verify_set(manifest, root=tmp_path / "data").ok
    assert capfd.readouterr() == ("", "")  # nothing is printed unless asked for
    asked = len(server.asked)
    assert fetch_set(manifest, root=tmp_path / "data").was_there
    assert len(server.asked) == asked


def test_progress_is_shown_where_wanted(server, tmp_path, capfd):
    fetch_set(described(server), root=tmp_path, progress=True)
    assert "100%" in capfd.readouterr().err


def refused(manifest, root, said):
    with pytest.raises(DownloadError, match=said) as error:
        fetch_set(manifest, root=root)
    assert not root.exists() or not list(root.iterdir())
    assert "by hand: " in str(error.value) and "the images belong in" in str(error.value)
    assert str(root / "shapes" / "images") in str(error.value)
    return str(error.value)


def test_what_is_not_there_is_told_with_what_to_do_by_hand(server, tmp_path):
    manifest, with_steps = described(server), described(server, steps=["ask Ann"])
    del server.files["/a.tar"]
    said = refused(
        manifest, tmp_path / "data", r"cannot fetch http://[^ ]+/a\.tar: HTTP Error 404: Not Found; by hand"
    )
    assert f"{server.url}/a.tar, {server.url}/train.txt with a browser" in said
    said = refused(with_steps, tmp_path / "data", "HTTP Error 404")
    assert "by hand: ask Ann; the images" in said


def test_no_server_at_all(server, tmp_path):
    manifest = described(server)
    server.shutdown()
    server.server_close()
    refused(manifest, tmp_path / "data", "cannot fetch http.*a.tar: .*[Rr]efused")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"sha256": "0" * 64},
            r"a.tar has sha256 [0-9a-f]{64}, not 0{64} like in the manifest; it is not used",
        ),
        ({"md5": "0" * 32}, r"a.tar has md5 [0-9a-f]{32}, not 0{32} like in the manifest; it is not used"),
        ({"bytes": 17}, r"a.tar has 10,240 bytes, not 17 like in the manifest; it is not used"),
    ],
)
def test_other_bytes_than_promised_are_not_used(server, tmp_path, keys, said):
    refused(described(server, archive_keys=keys), tmp_path / "data", said)


def test_a_connection_that_breaks_off(server, tmp_path):
    manifest = described(server)
    server.files["/a.tar"] = server.files["/a.tar"][:5000]
    server.withheld = 5240
    refused(
        manifest,
        tmp_path / "data",
        r"cannot fetch http.*a.tar: .*IncompleteRead\(5000 bytes read, 5240 more expected\)",
    )


def test_what_is_packed_for_the_way_is_not_unpacked(server, tmp_path):
    """An archive that the server would send compressed comes as it lies there, so that its checksum fits."""
    fetch_set(described(server), root=tmp_path)
    assert {encoding for _, _, encoding in server.asked} == {"identity"}


def test_a_server_that_leads_elsewhere(server, tmp_path):
    """To another address of the web it is followed, to a file of this machine it is not."""
    server.moved["/a.tar"] = f"{server.url}/b.tar"
    server.files["/b.tar"] = server.files["/a.tar"]
    assert fetch_set(described(server), root=tmp_path / "data").n_images == 4
    server.moved["/a.tar"] = "file:///etc/passwd"
    refused(described(server, archive_keys={}), tmp_path / "other", "cannot fetch .*a.tar: ")


@pytest.mark.parametrize("n_bytes", [0, 700, 1024, 2048, 4000, 4096])
def test_an_archive_cut_short_without_known_checksums(server, tmp_path, n_bytes):
    server.files["/a.tar"] = server.files["/a.tar"][:n_bytes]
    refused(described(server, archive_keys={}), tmp_path / "data", "truncated|contains no file")


def test_an_archive_that_lacks_images(server, tmp_path):
    server.files["/a.tar"] = archive({"images/a/0.png": image(0), "images/bb/0.png": image(1)})
    refused(described(server), tmp_path / "data", r"has 2 images of 'shapes', not 4; nothing is kept")
    server.files["/a.tar"] = archive({"elsewhere/a.txt": b"?"})
    refused(described(server), tmp_path / "data", "does not have the layout in the manifest of 'shapes'")


@pytest.mark.parametrize("name", ["../../escaped.png", "/tmp/hueprobe-escaped.png"])
def test_an_archive_that_leaves_its_folder(server, tmp_path, name):
    server.files["/a.tar"] = archive({"images/a/0.png": image(0), name: image(1)})
    refused(
        described(server, images=2),
        tmp_path / "data",
        "which is not allowed: it (has a part '..'|is absolute)",
    )
    assert not list(tmp_path.rglob("*escaped*"))


def test_something_else_in_its_place_is_not_touched(server, tmp_path):
    (tmp_path / "shapes").mkdir()
    (tmp_path / "shapes" / "mine.txt").write_text("keep")
    with pytest.raises(DownloadError, match=r"shapes' exists, but is not the data set; move it away"):
        fetch_set(described(server), root=tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["shapes", "mine.txt"]


def test_another_set_at_the_root_is_not_taken_for_it(server, tmp_path):
    write_image(tmp_path / "other" / "a" / "1.png")
    assert not fetch_set(described(server), root=tmp_path).was_there
    assert fetch_set(described(server), root=tmp_path).was_there
    assert {path.name for path in tmp_path.iterdir()} == {"other", "shapes"}


def test_a_set_to_be_got_by_hand(tmp_path):
    manifest = manifest_of(layout={"kind": "class_folders", "folder": "shapes"})
    with pytest.raises(
        DownloadError, match=r"cannot be fetched by a program; by hand: draw them; the images belong"
    ):
        fetch_set(manifest, root=tmp_path)
    write_image(tmp_path / "shapes" / "a" / "1.png")
    assert fetch_set(manifest, root=tmp_path).was_there


def test_torchvision_fetches_into_the_hidden_folder_first(tmp_path, monkeypatch):
    """MNIST as torchvision fetches it, but cut to three digits and served from a function."""
    import torchvision

    seen = []

    class Mnist(torchvision.datasets.MNIST):
        def __init__(self, root, train=True, download=False):
            seen.append((root, download))
            if download and not self._there(root):
                for part, n in (("train", 3), ("t10k", 2)):
                    raw = self._raw(root)
                    raw.mkdir(parents=True, exist_ok=True)
                    head = b"\x00\x00\x08\x03" + b"".join(x.to_bytes(4, "big") for x in (n, 28, 28))
                    (raw / f"{part}-images-idx3-ubyte").write_bytes(head + bytes(n * 784))
                    (raw / f"{part}-labels-idx1-ubyte").write_bytes(
                        b"\x00\x00\x08\x01" + n.to_bytes(4, "big") + bytes(range(n))
                    )
                (raw / "left.tar.gz").write_bytes(b"x")
            super().__init__(root, train=train)

        def _raw(self, root):
            return Path(root) / "MNIST" / "raw"

        def _there(self, root):
            return self._raw(root).is_dir()

        @property
        def raw_folder(self):
            return str(self._raw(self.root))

        @property
        def processed_folder(self):
            return str(self._raw(self.root).parent / "processed")

    monkeypatch.setattr(torchvision.datasets, "MNIST", Mnist)
    manifest = manifest_of(
        obtain={"way": "torchvision", "steps": ["get it"]},
        torchvision={"class": "MNIST", "calls": {"train": {"train": True}, "test": {"train": False}}},
        layout={"kind": "torchvision", "folder": "MNIST/raw"},
        counts={"images": 5, "splits": {"train": 3, "test": 2}},
    )
    root = tmp_path / "data"
    assert fetch_set(manifest, root=root).n_images == 5
    first = seen[0][0]
    assert first != str(root) and first.startswith(f"{root}/.shapes.")
    assert not (root / "MNIST" / "raw" / "left.tar.gz").exists()
    assert [path.name for path in root.iterdir()] == ["MNIST"]
    assert len(from_manifest(manifest, root=root)) == 5
    assert open_datasets(manifest.torchvision, root)["test"].targets.tolist() == [0, 1]


def test_dtd_comes_as_torchvision_fetches_it(server, tmp_path, monkeypatch):
    """The shipped manifest and torchvision's own code, with a tiny archive in the place of DTD's."""
    import torchvision

    names = [f"{name}/{name}_000{i}.jpg" for name in ("banded", "woven") for i in range(3)]
    members = {f"dtd/images/{name}": image(i) for i, name in enumerate(names)}
    for i, split in enumerate(("train", "val", "test")):
        members[f"dtd/labels/{split}1.txt"] = f"{names[i]}\n{names[i + 3]}\n".encode()
    server.files["/dtd.tar"] = archive(members)
    digest = hashlib.md5(server.files["/dtd.tar"], usedforsecurity=False).hexdigest()
    monkeypatch.setattr(torchvision.datasets.DTD, "_URL", f"{server.url}/dtd.tar")
    monkeypatch.setattr(torchvision.datasets.DTD, "_MD5", "0" * 32)
    whole = load_manifest("dtd")
    tiny = replace(whole, counts=replace(whole.counts, images=6, splits={}, per_class={}))
    root = tmp_path / "data"
    for manifest, md5, said in (
        (tiny, "0" * 32, "cannot fetch 'dtd': File not found or corrupted"),
        (whole, digest, "has 6 images of 'dtd', not 5,640; nothing is kept"),
    ):
        monkeypatch.setattr(torchvision.datasets.DTD, "_MD5", md5)
        with pytest.raises(DownloadError, match=said):
            fetch_set(manifest, root=root)
        assert list(root.iterdir()) == []
    assert fetch_set(tiny, root=root).n_images == 6
    table = from_manifest("dtd", root=root)
    assert table.splits == ("train", "val", "test") * 2
    assert not list(root.rglob("*.tar"))  # what torchvision unpacked is not kept twice
    assert len(torchvision.datasets.DTD(str(root), split="train")) == 2


def test_a_fetch_that_is_stopped_leaves_nothing(server, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("hueprobe.datasets.fetching.unpack", stop)
    with pytest.raises(KeyboardInterrupt):
        fetch_set(described(server), root=tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []
