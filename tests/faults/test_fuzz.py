"""Whatever a file holds, its reader says what is wrong in a HueprobeError, and in little time."""

import json
import sys
import time
import traceback
import warnings

import msgspec
import nibabel
import numpy as np
import pytest

from hueprobe import open_memory
from hueprobe.datasets.library import load_manifest
from hueprobe.datasets.mat_files import read_mat
from hueprobe.datasets.schema import SideTable, Slices
from hueprobe.datasets.side_tables import read_side_table
from hueprobe.datasets.volumes import read_slices
from hueprobe.errors import HueprobeError, ImageError, InputError, ManifestError, SearcherError
from hueprobe.memory.headers import read_header, write_header
from hueprobe.observations.accuracy.grid import AccuracyRun
from hueprobe.search import build_index, open_searcher
from hueprobe.studies.run_store import RunStore
from tests.faults.readers import READERS
from tests.tiny_sets import minimal

pytestmark = pytest.mark.slow

SECONDS = 20  # of one trial: more is taken for a loop without end


@pytest.mark.parametrize("name", READERS)
def test_only_our_errors_come_out(faults, name, tmp_path):
    make, method, short, long = READERS[name]
    read = getattr(make(tmp_path), method)
    failures = []
    n = faults.n(short, long)
    for trial in range(n):
        began = time.monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(faults.rng)
        except HueprobeError as error:
            if not str(error).strip():
                failures.append(f"trial {trial}: {type(error).__name__} without a word")
        except Exception as error:  # the trial's failure
            place = traceback.extract_tb(error.__traceback__)[-1]
            failures.append(f"trial {trial}: {error!r:.300} at {place.filename}:{place.lineno}")
        if time.monotonic() - began > SECONDS:
            failures.append(f"trial {trial}: took {time.monotonic() - began:.0f} s")
    faults.tried(f"fuzz: {name}", n, failures)


# --- What the fuzzer and reading found, each once ---------------------------------------------------------


def test_a_matlab_file_that_crashes_scipy_is_an_error(tmp_path, monkeypatch):
    """SciPy's reader ends the process on some damaged files; the trials above say so of the real one."""
    (tmp_path / "scipy").mkdir()
    (tmp_path / "scipy" / "__init__.py").write_text("import os\nos.abort()\n")
    (tmp_path / "x.mat").write_bytes(b"no matter")
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    with pytest.raises(
        ImageError, match=r"x\.mat: not a MATLAB file that SciPy can read: the reader crashed"
    ):
        read_mat(tmp_path / "x.mat", name="x.mat")


@pytest.mark.parametrize("name", ["\ud800", "a" * 300, "../index.json", "a/b", "", "index.json", "a\0b"])
def test_an_index_header_names_a_plain_file(tmp_path, small_memory, name):
    memory = small_memory(tmp_path / "m")
    build_index(memory, "faiss:Flat")
    folder = tmp_path / "m" / "indexes" / "faiss-Flat"
    write_header(folder, msgspec.structs.replace(read_header(folder), file=name))
    with pytest.raises(SearcherError, match="damaged"):
        open_searcher(open_memory(tmp_path / "m"), "faiss:Flat")


@pytest.mark.parametrize("zoom", [1e-30, 1e30, np.nan, np.inf])
def test_a_volume_of_absurd_voxels_is_refused(tmp_path, zoom):
    volume = nibabel.Nifti1Image(np.ones((4, 4, 4), np.float32), np.eye(4))
    data = bytearray(volume.to_bytes())
    data[80:84] = np.float32(zoom).tobytes()
    data[252:256] = bytes(4)  # neither of the two affines holds, so that the zooms count
    (tmp_path / "v.nii").write_bytes(data)
    slices = Slices(plane="axial", spacing=1.0, count=1, window=(0, 1))
    with pytest.raises(ImageError):
        read_slices(tmp_path / "v.nii", slices)


@pytest.mark.parametrize(
    "change",
    [{"right": 7}, {"images": None}, {"groups": [1]}, {"right": ["yes"]}, {"network": 3}, {"held_out": "no"}],
)
def test_a_run_of_other_types_is_refused(tmp_path, change):
    run = AccuracyRun(
        network="n", descriptor="gap", task="t", classifier="c", images=("a",), groups=(None,), right=(True,),
        held_out=False,
    )  # fmt: skip
    store = RunStore(tmp_path, AccuracyRun)
    store.write("whole", run)
    assert store.read("whole") == run
    document = json.loads(store.path("whole").read_bytes())
    store.path("other").write_text(json.dumps({**document, **change}))
    with pytest.raises(InputError, match=next(iter(change))):
        store.read("other")


@pytest.mark.parametrize(
    "text",
    [
        'homepage = "http://["',
        f"x = {'[' * 5_000}",
        f"x = {'9' * 5_000}",
        'layout = {kind = "pattern", pattern = "("}',
    ],
)
def test_manifests_that_pythons_parsers_stumble_over(tmp_path, text):
    head = "".join(
        f"{key} = {value}\n"
        for key, value in {
            "title": '"x"', "authors": '["x"]', "licence": '{name = "x", access = "open"}',
            "obtain": '{way = "by hand", steps = ["x"]}', "layout": '{kind = "class_folders"}',
        }.items()
        if not text.startswith(key)
    )  # fmt: skip
    assert set(minimal()) == {"title", "authors", "licence", "obtain", "layout"}
    (tmp_path / "m.toml").write_text(head + text + "\n")
    with pytest.raises(ManifestError):
        load_manifest(tmp_path / "m.toml")


def test_a_list_whose_first_line_is_no_csv(tmp_path):
    (tmp_path / "x.csv").write_text('"a"b,c\n1,2\n')
    table = SideTable(file="x.csv", format="csv", columns={"id": "a"}, number="", constants={})
    with pytest.raises(ImageError, match=r"x\.csv: not valid CSV"):
        read_side_table(table, tmp_path)
