"""Input that means harm: it is not run, leaves no folder, fills no memory and commands no terminal."""

import ast
import gzip
import io
import json
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import tomllib
import unicodedata
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from PIL import EpsImagePlugin, Image

import hueprobe
from hueprobe import images, open_memory
from hueprobe.activations.weights import read_weights
from hueprobe.cli import main
from hueprobe.datasets import from_manifest
from hueprobe.datasets.drafting import draft_manifest
from hueprobe.datasets.listing import list_set
from hueprobe.datasets.origin import TorchvisionClass
from hueprobe.datasets.schema import Slices
from hueprobe.datasets.torchvision_sets import open_datasets
from hueprobe.datasets.unpacking import unpack
from hueprobe.datasets.volumes import read_slices
from hueprobe.errors import DownloadError, HueprobeError, ImageError, InputError, ManifestError, WeightsError
from hueprobe.escapes import escape_controls, escape_json, escape_markdown
from hueprobe.training.checkpoints import load_checkpoint
from tests.faults.mutations import chained, forge, steps_of
from tests.tiny_sets import manifest_of

SOURCES = sorted(Path(hueprobe.__file__).parent.rglob("*.py"))
# A newline, a title set by a terminal, C1's CSI, an override of direction, a NEL, a line separator, DEL.
EVIL = "a\n\x1b]0;x\x07\x9b31m\u202egnp\x85\u2028\x7f[red]$\\frac{$|`<b>"


class Runs:
    """Pickled, it creates a file when it is read."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (Path.touch, (Path(self.path),))


# --- Nothing of it is run ---------------------------------------------------------------------------------


RUNNING = ("os.system", "os.popen", "os.exec", "os.spawn")
ARRAYS = ("np.load", "numpy.load", "np.save", "np.lib.format.read_array")
BANNED = {"pty", "commands", "shelve", "marshal", "dill", "joblib", "yaml"}


def faults_of(tree):
    """Name the calls of a module that could run what they are given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            if banned := names & BANNED:
                yield f"line {node.lineno}: import {banned}"
        if not isinstance(node, ast.Call):
            continue
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        name = ast.unparse(node.func)
        last = name.rpartition(".")[2]
        if name in ("eval", "exec", "compile", "__import__") or name.startswith(RUNNING):
            yield f"line {node.lineno}: {name}"
        if name.startswith(("pickle.load", "marshal.", "pickle.Unpickler")) or last in (
            "read_pickle",
            "Unpickler",
        ):
            yield f"line {node.lineno}: {name}"
        if given.get("shell", "False") != "False":
            yield f"line {node.lineno}: a shell"
        if name in ARRAYS and given.get("allow_pickle") != "False":
            yield f"line {node.lineno}: {name} without allow_pickle=False"
        if name == "torch.load" and given.get("weights_only") != "True":
            yield f"line {node.lineno}: torch.load without weights_only=True"
        if last in ("extractall", "unpack_archive"):
            yield f"line {node.lineno}: {name} writes where an archive says"
        if name == "Image.open" and "formats" not in given:
            yield f"line {node.lineno}: Image.open takes any format, EPS too"


def test_no_source_runs_what_it_reads():
    found = {path: list(faults_of(ast.parse(path.read_text()))) for path in SOURCES}
    # a worker of an engine reads one job, from the pipe of the process that started it
    (worker,) = (path for path in SOURCES if path.parts[-3:] == ("scale", "engines", "worker.py"))
    assert [fault.partition(": ")[2] for fault in found.pop(worker)] == ["pickle.loads"]
    assert {str(path): faults for path, faults in found.items() if faults} == {}


@pytest.mark.parametrize(
    "line",
    [
        "os.system('x')", "subprocess.run('x', shell=True)", "pickle.load(f)", "eval(x)", "np.load(p)",
        "torch.load(p)", "np.load(p, allow_pickle=True)", "tar.extractall(p)", "Image.open(p)", "import yaml",
        "subprocess.Popen(c, shell=s)",
    ],
)  # fmt: skip
def test_the_scan_sees_what_it_looks_for(line):
    assert list(faults_of(ast.parse(line)))


def test_pickles_are_refused_wherever_tensors_or_arrays_are_read(tmp_path, small_memory):
    ran = tmp_path / "ran"
    torch.save({"weight": Runs(ran)}, tmp_path / "w.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Runs(ran)))
    (tmp_path / "w.safetensors").write_bytes(pickle.dumps(Runs(ran)))
    for name in ("w.pth", "plain.pth", "w.safetensors"):
        with pytest.raises(WeightsError):
            read_weights(tmp_path / name)
        with pytest.raises(InputError, match="cannot be read as a checkpoint"):
            load_checkpoint(tmp_path / name, {}, device=torch.device("cpu"))
    memory = tmp_path / "m"
    small_memory(memory)
    for name in ("shards/000000.vectors.npy", "shards/000000.energy.npy"):
        whole = (memory / name).read_bytes(), (memory / "ledger.jsonl").read_bytes()
        data = io.BytesIO()
        np.save(data, np.array([Runs(ran)], object), allow_pickle=True)
        forge(memory, name, data.getvalue())
        with pytest.raises(HueprobeError, match="object"):
            open_memory(memory).energy()
        (memory / name).write_bytes(whole[0])
        (memory / "ledger.jsonl").write_bytes(whole[1])
    assert not ran.exists()


def test_a_postscript_file_is_no_image(tmp_path, monkeypatch):
    """Pillow would hand it to Ghostscript, whatever the file is called."""
    called = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *args, **kwargs: called.append(args))
    text = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\n(x) run\n%%EOF\n"
    (tmp_path / "x.png").write_bytes(text)
    image, record = images.read_image(tmp_path / "x.png")
    assert image is None and record.reason == "not an image of a known format" and not called


def test_torchvisions_sets_that_unpickle_are_refused(tmp_path):
    with pytest.raises(ManifestError, match="unpickles"):
        open_datasets(TorchvisionClass(name="LSUN", calls={"train": {"classes": "train"}}), tmp_path)


# --- Nothing leaves its folder ----------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path):
    """A set in a folder, and an image beside it."""
    for path in (tmp_path / "secret.png", tmp_path / "set" / "a" / "1.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (3, 3)).save(path)
    (tmp_path / "set" / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "set" / "folder").symlink_to(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "path", ["../secret.png", "{0}/secret.png", "a/../../secret.png", "link.png", "folder/secret.png"]
)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_among_data_sets_cannot_leave_its_folder(outside, path, ending, monkeypatch):
    path = path.format(outside)
    table = outside / "set" / f"t.{ending}"
    if ending == "csv":
        table.write_text(f"path,class\na/1.png,a\n{path},b\n")
    else:
        pq.write_table(pa.table({"path": ["a/1.png", path], "class": ["a", "b"]}), table)
    assert len(images.from_table(table)) == 2  # the user names it, and it did not come with others' data
    monkeypatch.setenv("HUEPROBE_DATA", str(outside / "set"))
    (outside / f"link.{ending}").symlink_to(table)
    for name in (table, outside / f"link.{ending}"):
        with pytest.raises(ImageError, match=r"(line 3|row 2): .* leads out of .*HUEPROBE_ROOTS"):
            images.from_table(name)
    monkeypatch.setenv("HUEPROBE_ROOTS", str(outside))
    assert len(images.from_table(table)) == 2
    monkeypatch.delenv("HUEPROBE_ROOTS")
    monkeypatch.setenv("HUEPROBE_DATA", str(outside))
    assert len(images.from_table(table)) == 2


@pytest.mark.parametrize(
    "path", ["../secret.png", "{0}/secret.png", "a/../../secret.png", "~/x.png", "C:\\x.png"]
)
def test_a_manifest_cannot_leave_its_folder(outside, path):
    path = path.format(outside)
    (outside / "set" / "list.txt").write_text(f"a/1.png a\n{path} b\n")
    table = {"file": "list.txt", "columns": ["picture", "class"]}
    manifest = manifest_of(layout={"kind": "tables", "folder": "set"}, tables=[table])
    found = list_set(manifest, outside)
    assert [entry.path for entry in found.entries] == ["a/1.png"]
    assert any("is not allowed" in problem and repr(path) in problem for problem in found.problems)
    for key, document in (
        ("folder", {"layout": {"kind": "class_folders", "folder": path}}),
        ("file", {"layout": {"kind": "tables"}, "tables": [{**table, "file": path}]}),
        ("checksums", {"checksums": {path: "md5:" + "0" * 32}}),
    ):
        with pytest.raises(ManifestError, match=f"{key}.*not allowed"):
            manifest_of(**document)


def test_links_of_a_set_are_followed_inside_only(outside):
    (outside / "set" / "a" / "link.png").symlink_to(outside / "secret.png")
    manifest = manifest_of(layout={"kind": "class_folders", "folder": "set"})
    with pytest.warns(hueprobe.errors.HueprobeWarning, match="a link leads out"):
        found = from_manifest(manifest, root=outside)
    assert found.paths == ("a/1.png",)


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "..\\x", "C:/x"])
def test_an_archive_cannot_leave_its_folder(tmp_path, name):
    (tmp_path / "in").mkdir()
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr(name, "x")
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(name))
    for archive in ("x.zip", "x.tar"):
        with pytest.raises(DownloadError, match="not allowed"):
            unpack(tmp_path / archive, tmp_path / "in")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        member = tarfile.TarInfo("a")
        member.type, member.linkname = kind, "/etc/passwd"
        with tarfile.open(tmp_path / "x.tar", "w") as tar:
            tar.addfile(member)
        with pytest.raises(DownloadError, match="a link or a device"):
            unpack(tmp_path / "x.tar", tmp_path / "in")
    assert not list((tmp_path / "in").iterdir())


@pytest.mark.parametrize("name", ["../../secret", "/etc/passwd", "shards/../../secret", "memory.json"])
def test_a_ledger_names_no_file_but_its_own(tmp_path, small_memory, name):
    memory = tmp_path / "m"
    small_memory(memory)
    (tmp_path / "secret").write_text("x")
    for number in range(3):
        steps = steps_of(memory / "ledger.jsonl")
        steps[number]["files"][name] = {"sha256": "0" * 64, "size": 1}
        (tmp_path / "forged").mkdir(exist_ok=True)
        for path in memory.iterdir():
            if path.is_file():
                (tmp_path / "forged" / path.name).write_bytes(path.read_bytes())
        (tmp_path / "forged" / "ledger.jsonl").write_bytes(chained(steps))
        with pytest.raises(HueprobeError, match=r"line \d is a step"):
            open_memory(tmp_path / "forged")


# --- Nothing fills the memory -----------------------------------------------------------------------------


def png_of(width, height):
    """Return a PNG of so many black pixels, some kilobytes large."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + width // 8 + 1)) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_an_image_of_50_000_x_50_000_is_stopped_by_a_limit_that_can_be_raised(tmp_path, monkeypatch):
    bomb = png_of(50_000, 50_000)
    assert len(bomb) < 1 << 20
    (tmp_path / "b.png").write_bytes(bomb)
    image, record = images.read_image(tmp_path / "b.png")
    assert image is None and "2500000000 pixels" in record.reason and "HUEPROBE_MAX_PIXELS" in record.reason
    small = io.BytesIO()
    Image.new("RGB", (20, 10)).save(small, "PNG")
    monkeypatch.setenv("HUEPROBE_MAX_PIXELS", "199")
    assert "200 pixels" in images.read_image(small.getvalue())[1].reason
    monkeypatch.setenv("HUEPROBE_MAX_PIXELS", "200")
    assert images.read_image(small.getvalue())[1].readable
    monkeypatch.setenv("HUEPROBE_MAX_PIXELS", "many")
    with pytest.raises(InputError, match="HUEPROBE_MAX_PIXELS is 'many'"):
        images.read_image(small.getvalue())


def test_a_file_larger_than_any_image_is_not_read(tmp_path):
    with (tmp_path / "b.png").open("wb") as file:
        file.truncate(1 << 40)  # a terabyte of nothing
    image, record = images.read_image(tmp_path / "b.png")
    assert image is None and "too many for an image" in record.reason


def test_an_archive_unpacks_to_no_more_than_a_limit_that_can_be_raised(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zeros", bytes(300 << 20))
    assert (tmp_path / "b.zip").stat().st_size < 1 << 20
    (tmp_path / "in").mkdir()
    with pytest.raises(DownloadError, match="HUEPROBE_MAX_UNPACKED"):
        unpack(tmp_path / "b.zip", tmp_path / "in")
    assert (tmp_path / "in" / "zeros").stat().st_size < 200 << 20
    (tmp_path / "in" / "zeros").unlink()
    monkeypatch.setenv("HUEPROBE_MAX_UNPACKED", str(300 << 20))
    assert unpack(tmp_path / "b.zip", tmp_path / "in") == 1


def test_a_volume_of_absurd_size_is_refused(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    header = bytearray(nibabel.Nifti1Image(np.ones((2, 2, 2), np.float32), np.eye(4)).to_bytes())
    header[40:48] = struct.pack("<4h", 3, 32_000, 32_000, 32_000)
    (tmp_path / "v.nii.gz").write_bytes(gzip.compress(bytes(header)))
    slices = Slices(plane="axial", spacing=1.0, count=1, window=(0, 1))
    with pytest.raises(ImageError, match="32000 x 32000 x 32000 voxels"):
        read_slices(tmp_path / "v.nii.gz", slices)


ABSURD = {
    "array": "x.energy()",
    "safetensors": "read_weights(folder / 'w.safetensors')",
    "PyTorch": "read_weights(folder / 'w.pth')",
    "Parquet table": "images.from_table(folder / 't.parquet')",
    "settings": "open_memory(folder / 'settings')",
    "transform": "images.Transform(resize=None, crop=10**6)",
    "manifest": "from_manifest(folder / 'm.toml', root=folder)",
}
CHILD = """
import resource, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
from hueprobe import images, open_memory
from hueprobe.datasets import from_manifest
from hueprobe.errors import HueprobeError
from hueprobe.activations.weights import read_weights
import pyarrow.parquet, tomllib, hueprobe.memory.store, hueprobe.images.loading, hueprobe.images.table_files
folder = Path(sys.argv[1])
def used():
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
limit = used() + (300 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for text in sys.argv[2:]:
    try:
        x = open_memory(folder / "array")
        eval(text)
        print("read", text)
    except HueprobeError as error:
        print("refused", error)
    except MemoryError as error:
        print("allocated", error)
"""


@pytest.fixture(scope="module")
def absurd(tmp_path_factory, small_memory):
    """Files whose headers ask for terabytes."""
    folder = tmp_path_factory.mktemp("absurd")
    for name in ("array", "settings"):
        small_memory(folder / name, n=2, grid=(1, 1))
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 1000000000000)}"
    header = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n"
    forge(folder / "array", "shards/000000.energy.npy", header + bytes(8))
    settings = json.loads((folder / "settings" / "memory.json").read_text())
    settings.update(grid=[10**6, 10**6])
    forge(folder / "settings", "memory.json", json.dumps(settings).encode())
    entry = {"w": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}
    head = json.dumps(entry).encode()
    (folder / "w.safetensors").write_bytes(struct.pack("<Q", len(head)) + head)
    data = io.BytesIO()
    torch.save({"w": torch.zeros(7)}, data)
    (folder / "w.pth").write_bytes(data.getvalue().replace(struct.pack("<BB", ord("K"), 7), b"\x4d\xff\xff"))
    data = io.BytesIO()
    n = 2_000_000
    many = pa.table(
        {"path": pa.DictionaryArray.from_arrays(np.zeros(n, np.int32), ["x" * 1000]), "class": ["a"] * n}
    )
    pq.write_table(many, data, compression="zstd")
    (folder / "t.parquet").write_bytes(data.getvalue())
    (folder / "m.toml").write_text(
        'title="x"\nauthors=["x"]\nlicence={name="x",access="open"}\nobtain={way="by hand",steps=["x"]}\n'
        'layout={kind="volumes",pattern="(?P<class>.*)"}\n[slices]\nplane="axial"\nspacing=1.0\n'
        "count=1000000000000\nwindow=[0,1]\n"
    )
    return folder


@pytest.mark.slow
def test_headers_with_absurd_sizes_allocate_nothing(absurd):
    """In a process that may take 300 MB more than it has, refusal comes before allocation."""
    command = [sys.executable, "-c", CHILD, str(absurd), *ABSURD.values()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    answers = dict(zip(ABSURD, done.stdout.splitlines(), strict=True))
    assert {what: said for what, said in answers.items() if not said.startswith("refused")} == {}, done.stderr


# --- Nothing writes on the terminal -----------------------------------------------------------------------


def is_plain(text):
    """Whether a text holds no character that a terminal or a text engine obeys, newlines apart."""
    return not [c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


def test_escapes_by_hand():
    assert escape_controls("é\x9b\u202e\n\x1b\x85\u2028\udcff") == r"é\x9b\u202e\n\x1b\x85\u2028\udcff"
    for text in (EVIL, "\ud800", "\U000e0001", "é\u00a0"):
        shown = escape_json(json.dumps(text, ensure_ascii=False))
        assert json.loads(shown) == text and is_plain(shown)
    assert escape_markdown("a|b\n<i>`x`") == r"a\|b\\n\<i\>\`x\`"


@pytest.fixture(scope="module")
def evil(tmp_path_factory):
    """Images whose file and class names are evil, and a memory of them in a folder of such a name."""
    folder = tmp_path_factory.mktemp("evil")
    rng = np.random.default_rng(0)
    for name in (EVIL, "b"):
        (folder / "set" / name).mkdir(parents=True)
        for i in range(3):
            values = rng.integers(0, 256, (24, 24, 3), np.uint8)
            Image.fromarray(values).save(folder / "set" / name / f"{EVIL}{i}.png")
        (folder / "set" / name / f"{EVIL}-torn.png").write_bytes(b"no")
    result = run_evil(
        "index", folder / "set", "-o", folder / f"m{EVIL}", *TINY, "--searcher", "annoy:trees=2"
    )
    assert result.exit_code == 0, result.output
    return folder


TINY = ["--backbone", "tests.tiny_network:tiny", "--layer", "3", "--batch-size", "4"]


def run_evil(*arguments):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert is_plain(result.stdout) and is_plain(result.stderr), result.output
    return result


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "info M", "info M --json", "query M P --figure F", "verify M", "verify M --json", "query M P",
        "query M P --json --figure F",
        "evaluate M --leave-one-out", "evaluate M --leave-one-out --json", "query M Q", "info Q", "verify Q",
        "verify D", "verify D --json", "data split S --train 0.5 -o T", "data init S", "data verify Q --json",
        "index Q -o N", "observe energy M -o O", "observe energy M -o O --json",
        "query M P --searcher faiss:IVF9999,Flat",
    ],
)  # fmt: skip
def test_names_are_shown_escaped(evil, tmp_path, command):
    memory = evil / f"m{EVIL}"
    damaged = tmp_path / f"d{EVIL}"
    if " D" in command:
        shutil.copytree(memory, damaged)
        (damaged / "shards" / EVIL).write_text("x")
    image = next((evil / "set" / EVIL).glob("*0.png"))
    meant = {
        "M": memory, "P": image, "Q": tmp_path / EVIL, "D": damaged, "S": evil / "set",
        "F": tmp_path / f"{EVIL}.png", "T": tmp_path / f"{EVIL}.csv", "N": tmp_path / "n",
        "O": tmp_path / "o",
    }  # fmt: skip
    result = run_evil(*[meant.get(word, word) for word in command.split()])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    if "--json" in command and result.exit_code == 0:
        json.loads(result.stdout)
    if command.startswith("observe"):
        for path in (tmp_path / "o").rglob("*"):
            if path.suffix in (".md", ".json"):
                assert is_plain(path.read_text()), path
        assert "<b>" not in (tmp_path / "o" / "report.md").read_text().replace(r"\<b\>", "")


def test_a_draft_of_a_manifest_is_plain_and_says_the_names(evil):
    text = draft_manifest(evil / "set")
    assert is_plain(text)
    assert EVIL in tomllib.loads(text)["counts"]["class_names" if "class_names" in text else "per_class"]


def test_commands_print_by_one_function():
    """`say` escapes; a bare echo is for JSON, TOML and tables, whose strings are escaped."""
    folder = Path(hueprobe.__file__).parent / "cli"
    echoes = {p.name: p.read_text().count("click.echo(") for p in folder.glob("*.py")}
    assert {name: n for name, n in echoes.items() if n} == {
        "__init__.py": 3, "data_sets.py": 1, "observe.py": 1, "options.py": 3,
    }  # fmt: skip
    bare = [node for p in folder.glob("*.py") for node in ast.walk(ast.parse(p.read_text()))]
    assert not [node for node in bare if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"]
