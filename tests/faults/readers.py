"""What the fuzzer reads: for each reader something it takes, and a way to make that bad and read it."""

import io
import json
import tarfile
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.torch
import torch
from PIL import Image

from hueprobe import images, open_memory
from hueprobe.activations.weights import put_weights, read_weights
from hueprobe.datasets import from_manifest, load_manifest
from hueprobe.datasets.parsing import parse_manifest
from hueprobe.datasets.schema import Slices
from hueprobe.datasets.unpacking import unpack
from hueprobe.datasets.verifying import verify_set
from hueprobe.datasets.volumes import read_slices
from hueprobe.memory import verify_memory
from hueprobe.memory.headers import folder_name
from hueprobe.memory.recorded import recorded_transform
from hueprobe.memory.settings import differences
from hueprobe.observations.accuracy.grid import AccuracyRun
from hueprobe.search import build_index, open_searcher, parse_spec
from hueprobe.studies.run_store import RunStore
from hueprobe.training.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from tests.faults import mutations, part_readers
from tests.small_memories import memory_of_noise
from tests.tiny_network import tiny

SPECS = (
    "exact", "annoy", "annoy:trees=50,search_k=20000", "faiss:Flat", "faiss:IVF1024,Flat;nprobe=16",
    "faiss:HNSW32;efSearch=64", "faiss:OPQ16_64,IVF64(HNSW32),PQ16x4fs",
)  # fmt: skip


def use(memory):
    """Read everything that a memory's files say."""
    opened = open_memory(memory)
    opened.class_counts(), opened.sha256, repr(opened), opened.vectors(np.arange(min(3, opened.n_slots)))
    recorded_transform(opened.settings), differences(opened.settings, opened.settings)
    verify_memory(memory)
    open_searcher(opened).search(np.eye(opened.n_channels, dtype=np.float32)[:1], 1)


class Memories:
    """A small memory of two shards with an index; each trial damages a file of it and puts it back."""

    dtype = "float16"

    def __init__(self, folder):
        self.memory = folder / "m"
        memory = memory_of_noise(self.memory, 40, grid=(2, 2), classes="ab", dtype=self.dtype)
        build_index(memory, "faiss:Flat")
        self._whole = {p: p.read_bytes() for p in self.memory.rglob("*") if p.is_file()}
        self._ledger = self.memory / "ledger.jsonl"
        self._header = self.memory / "indexes" / "faiss-Flat" / "index.json"

    def restore(self):
        for path, data in self._whole.items():
            if not path.exists() or path.read_bytes() != data:
                path.write_bytes(data)

    def file(self, rng):
        path = list(self._whole)[rng.integers(len(self._whole))]
        path.write_bytes(mutations.mutated(rng, path.read_bytes()))
        self.read()

    def read(self):
        try:
            use(self.memory)
            open_searcher(open_memory(self.memory), "faiss:Flat", build=False)
        finally:
            self.restore()

    def forged_ledger(self, rng):
        steps = mutations.mutated_document(rng, mutations.steps_of(self._ledger))
        self._ledger.write_bytes(mutations.chained(steps))
        self.read()

    def forged_settings(self, rng):
        settings = mutations.mutated_document(rng, json.loads((self.memory / "memory.json").read_bytes()))
        mutations.forge(self.memory, "memory.json", json.dumps(settings).encode())
        self.read()

    def forged_file(self, rng):
        files = [name for step in mutations.steps_of(self._ledger)[:-1] for name in step["files"]]
        name = str(rng.choice(files))
        mutations.forge(self.memory, name, mutations.mutated(rng, (self.memory / name).read_bytes()))
        self.read()

    def forged_array_header(self, rng):
        """The right bytes below a header that says something else."""
        name = str(rng.choice(["shards/000000.vectors.npy", "shards/000000.energy.npy"]))
        data = (self.memory / name).read_bytes()
        start = data.index(b"\n") + 1
        shapes = ["(10000000000000,)", "(1 << 40, 2)", "(-1, 2)", "()", "('a',)", "(32, 2, 2, 4)", "(9**99,)"]
        kinds = ["'<f2'", "'>f4'", "'|O'", "'<U999999999'", "[('a', '<f4')]", "None", "'<f4'", "((" * 200]
        text = (
            f"{{'descr': {rng.choice(kinds)}, 'fortran_order': {rng.choice(['True', 'False', '7'])}, "
            f"'shape': {rng.choice(shapes)}}}"
        )
        text += " " * int(rng.integers(0, 80)) + "\n"
        header = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()
        mutations.forge(self.memory, name, header + data[start:])
        self.read()

    def forged_table(self, rng):
        """A sound Parquet file of other columns, types or rows."""
        name = str(rng.choice(["source.parquet", "shards/000000.images.parquet"]))
        table = pq.read_table(self.memory / name)
        column = int(rng.integers(table.num_columns))
        n = table.num_rows
        others = (
            pa.nulls(n), pa.array(["\x1b"] * n), pa.array([2**62] * n), pa.array([[1]] * n),
            pa.array([b"\xff"] * n), pa.array([float("nan")] * n), pa.array(["../x"] * n).dictionary_encode(),
        )  # fmt: skip
        kind = rng.integers(4)
        if kind == 0:
            table = table.remove_column(column)
        elif kind == 1:
            table = table.slice(0, int(rng.integers(n)))
        else:
            table = table.set_column(column, table.column_names[column], others[rng.integers(len(others))])
        data = io.BytesIO()
        pq.write_table(table, data)
        mutations.forge(self.memory, name, data.getvalue())
        self.read()

    def forged_index_header(self, rng):
        header = mutations.mutated_document(rng, json.loads(self._header.read_bytes()))
        header.pop("header_sha256", None)
        digest = mutations.hashlib.sha256(mutations.json_line(header).encode()).hexdigest()
        self._header.write_text(
            json.dumps({**header, "header_sha256": digest}, sort_keys=True, indent=2) + "\n"
        )
        self.read()


class SparseMemories(Memories):
    """The same in `sparse16`."""

    dtype = "sparse16"

    def forged_vectors(self, rng):
        """Places or bitmaps that say something else."""
        name = "shards/000000.vectors.sparse"
        data = bytearray((self.memory / name).read_bytes())
        start = int(rng.choice([16, 64, len(data) - 8 * 129, len(data) - 8]))
        at = start + 2 * int(rng.integers(0, 16))
        values = (0, 1, 2**15, 2**31, 2**63 - 1, 2**64 - 1, int(rng.integers(0, 2**16)))
        data[at : at + 8] = values[rng.integers(len(values))].to_bytes(8, "little")
        mutations.forge(self.memory, name, bytes(data))
        self.read()


class Tables:
    """Lists of images and manifests beside some images."""

    def __init__(self, folder):
        self.folder = folder
        for i in range(4):
            (folder / "set" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4), (i, 0, 0)).save(folder / "set" / "ab"[i % 2] / f"{i}.png")
        self._csv = b'path,class,split,group\n"set/a/0.png",a,train,g\nset/b/1.png,"b, c",test,\n'
        listed = {"path": ["set/a/0.png", "set/b/1.png"], "class": ["a", "b"], "split": ["train", None]}
        buffer = io.BytesIO()
        pq.write_table(pa.table(listed), buffer)
        self._parquet = buffer.getvalue()
        self._manifests = [path.read_bytes() for path in sorted(Path("data_manifests").glob("*.toml"))]
        self._own = (
            b'title = "Shapes"\nauthors = ["A. Person"]\n[licence]\nname = "CC0"\naccess = "open"\n'
            b'[obtain]\nway = "by hand"\nsteps = ["draw"]\n[layout]\nkind = "tables"\nfolder = "set"\n'
            b'picture = "{name}.png"\n[[tables]]\nfile = "list.txt"\ncolumns = ["name", "class"]\n'
            b'[[tables]]\nfile = "more.csv"\ncolumns = {name = "n", split = "s"}\n'
            b'[[tables]]\nfile = "more.mat"\ncolumns = {name = "n", group = "g"}\n'
        )
        from scipy.io import savemat

        savemat(folder / "more.mat", {"n": np.array(["a/0", "b/1"], object), "g": np.arange(2.0)})
        self._lists = {
            "list.txt": b"a/0 a\nb/1 b\n",
            "more.csv": b"n,s\na/0,train\nb/1,test\n",
            "more.mat": (folder / "more.mat").read_bytes(),
        }

    def csv(self, rng):
        (self.folder / "t.csv").write_bytes(mutations.mutated(rng, self._csv))
        images.from_table(self.folder / "t.csv")

    def parquet(self, rng):
        (self.folder / "t.parquet").write_bytes(mutations.mutated(rng, self._parquet))
        images.from_table(self.folder / "t.parquet")

    def manifest(self, rng):
        chosen = self._manifests[rng.integers(len(self._manifests))] if rng.random() < 0.5 else self._own
        (self.folder / "m.toml").write_bytes(mutations.mutated(rng, chosen))
        load_manifest(self.folder / "m.toml")

    def manifest_document(self, rng):
        document = tomllib.loads(self._manifests[rng.integers(len(self._manifests))].decode())
        manifest = parse_manifest(mutations.mutated_document(rng, document), name="m", file="m.toml")
        if manifest.layout.kind != "torchvision":
            from_manifest(manifest, root=self.folder)

    def side_table(self, rng):
        self._read_lists(rng, str(rng.choice(["list.txt", "more.csv"])), {"more.mat"})

    def matlab(self, rng):
        self._read_lists(rng, "more.mat", set())

    def _read_lists(self, rng, hit, absent):
        own = self.folder / "own.toml"
        blocks = self._own.split(b"[[tables]]")
        own.write_bytes(b"[[tables]]".join(b for b in blocks if not any(n.encode() in b for n in absent)))
        for name, data in self._lists.items():
            (self.folder / "set" / name).write_bytes(mutations.mutated(rng, data) if name == hit else data)
        verify_set(str(own), root=self.folder, decode=False)


class Images:
    """Image files of every format, and volumes."""

    def __init__(self, folder):
        rng = np.random.default_rng(1)
        image = Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8))
        self._files = []
        for kind in (
            "JPEG",
            "PNG",
            "GIF",
            "BMP",
            "TIFF",
            "WEBP",
            "PPM",
            "TGA",
            "PCX",
            "SGI",
            "JPEG2000",
            "ICO",
        ):
            data = io.BytesIO()
            image.save(data, kind)
            self._files.append(data.getvalue())
        gray = Image.fromarray(rng.integers(0, 65536, (5, 6), np.uint16))
        for other in (gray, image.convert("L").convert("F"), image.convert("P"), image.convert("CMYK")):
            data = io.BytesIO()
            other.save(data, "TIFF", compression="tiff_lzw" if other.mode != "F" else None)
            self._files.append(data.getvalue())
        self._volume = folder / "v.nii.gz"

    def image(self, rng):
        data = mutations.mutated(rng, self._files[rng.integers(len(self._files))])
        found, record = images.read_image(data)
        assert (found is None) == (not record.readable) == (record.reason is not None)
        assert found is None or (found.mode == "RGB" and found.size == (record.width, record.height))

    def volume(self, rng):
        import nibabel

        header = bytearray(nibabel.Nifti1Image(np.ones((5, 6, 7), np.float32), np.eye(4)).to_bytes())
        damaged = mutations.mutated(rng, bytes(header[:352])) + bytes(header[352:])
        path = self._volume.with_suffix("" if rng.random() < 0.5 else ".gz")
        if path.suffix == ".gz":
            import gzip

            damaged = gzip.compress(damaged, 1)
        path.write_bytes(damaged)
        read_slices(path, Slices(plane="axial", spacing=1.0, count=3, window=(1, 99), window_is="percentile"))


class Weights:
    """Weights, checkpoints and finished runs."""

    def __init__(self, folder):
        self._folder = folder
        network, _ = tiny()
        self._network, self._state = network, network.state_dict()
        self._safetensors = safetensors.torch.save(self._state)
        data = io.BytesIO()
        torch.save(self._state, data)
        self._torch = data.getvalue()
        self._run = {"seed": 0, "data": "x"}
        save_checkpoint(
            folder / "whole.pt", Checkpoint(self._run, 1, {"network": self._state}, [{"loss": 1.0}])
        )
        self._checkpoint = (folder / "whole.pt").read_bytes()
        self._runs = RunStore(folder, AccuracyRun)
        run = AccuracyRun(
            network="n", descriptor="gap", task="t", classifier="c", images=("a",), groups=(None,),
            right=(True,), held_out=False,
        )  # fmt: skip
        self._runs.write("run", run)
        self._run_json = self._runs.path("run").read_bytes()

    def safetensors(self, rng):
        path = self._folder / "w.safetensors"
        path.write_bytes(mutations.mutated(rng, self._safetensors))
        put_weights(self._network, read_weights(path), what="fuzz")

    def safetensors_header(self, rng):
        size = int.from_bytes(self._safetensors[:8], "little")
        header = mutations.mutated_document(rng, json.loads(self._safetensors[8 : 8 + size]))
        text = json.dumps(header).encode()
        path = self._folder / "w.safetensors"
        path.write_bytes(len(text).to_bytes(8, "little") + text + self._safetensors[8 + size :])
        put_weights(self._network, read_weights(path), what="fuzz")

    def torch(self, rng):
        path = self._folder / "w.pth"
        path.write_bytes(mutations.mutated(rng, self._torch))
        put_weights(self._network, read_weights(path), what="fuzz")

    def checkpoint(self, rng):
        path = self._folder / "c.pt"
        path.write_bytes(mutations.mutated(rng, self._checkpoint))
        load_checkpoint(path, self._run, device=torch.device("cpu"))

    def finished_run(self, rng):
        document = mutations.mutated_document(rng, json.loads(self._run_json))
        self._runs.path("run").write_text(json.dumps(document))
        self._runs.read("run")

    def finished_run_bytes(self, rng):
        self._runs.path("run").write_bytes(mutations.mutated(rng, self._run_json))
        self._runs.read("run")


class Archives:
    """Zip and tar files."""

    def __init__(self, folder):
        self._folder = folder
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
            for name in ("a/1.txt", "b/2.txt"):
                file.writestr(name, name * 50)
        self._archives = {"x.zip": data.getvalue()}
        for ending, mode in (("tar", "w"), ("tar.gz", "w:gz"), ("tar.bz2", "w:bz2"), ("tar.xz", "w:xz")):
            data = io.BytesIO()
            with tarfile.open(fileobj=data, mode=mode) as tar:
                for name in ("a/1.txt", "b/2.txt"):
                    member = tarfile.TarInfo(name)
                    member.size = 300
                    tar.addfile(member, io.BytesIO(bytes(300)))
            self._archives[f"x.{ending}"] = data.getvalue()
        self._n = 0

    def archive(self, rng):
        name = str(rng.choice(list(self._archives)))
        self._n += 1
        inside = self._folder / str(self._n) / "inside"
        inside.mkdir(parents=True)
        archive = inside.parent / name
        archive.write_bytes(mutations.mutated(rng, self._archives[name]))
        try:
            unpack(archive, inside)
        finally:
            outside = [p for p in inside.parent.iterdir() if p not in (inside, archive)]
            assert not outside, outside
            assert not [p for p in inside.rglob("*") if p.is_symlink()]


class Specs:
    """SPEC strings and transforms."""

    def __init__(self, folder):
        self._folder = folder

    def spec(self, rng):
        parsed = parse_spec(mutations.mutated_text(rng, SPECS[rng.integers(len(SPECS))]))
        name = folder_name(parsed.index)
        assert len(name) < 250 and name.isascii() and "/" not in name
        assert parse_spec(parsed.text) == parsed

    def transform(self, rng):
        whole = images.Transform(resize=256, crop=224).to_json()
        document = mutations.mutated_document(rng, whole)
        images.Transform.from_json(document)


# Reader -> (class, method, trials of the short run, of the long one).
READERS = {
    "any file of a memory": (Memories, "file", 30, 3_000),
    "ledger, hashes computed anew": (Memories, "forged_ledger", 60, 4_000),
    "memory.json, hashes computed anew": (Memories, "forged_settings", 40, 3_000),
    "a memory's file, hashes computed anew": (Memories, "forged_file", 30, 2_000),
    "headers of arrays, hashes computed anew": (Memories, "forged_array_header", 30, 1_500),
    "tables of a memory, hashes computed anew": (Memories, "forged_table", 30, 1_500),
    "any file of a sparse16 memory": (SparseMemories, "file", 20, 1_500),
    "a sparse16 memory's file, hashes computed anew": (SparseMemories, "forged_file", 20, 1_500),
    "sparse16 vectors, hashes computed anew": (SparseMemories, "forged_vectors", 30, 2_000),
    "header of an index, hash computed anew": (Memories, "forged_index_header", 30, 1_000),
    "CSV table": (Tables, "csv", 100, 3_000),
    "Parquet table": (Tables, "parquet", 50, 2_000),
    "manifest, bytes": (Tables, "manifest", 20, 2_000),
    "manifest, document": (Tables, "manifest_document", 20, 2_000),
    "lists that come with a set": (Tables, "side_table", 50, 1_500),
    "MATLAB lists that come with a set": (Tables, "matlab", 2, 150),
    "image": (Images, "image", 200, 6_000),
    "volume": (Images, "volume", 30, 800),
    "safetensors, bytes": (Weights, "safetensors", 50, 1_500),
    "safetensors, header": (Weights, "safetensors_header", 50, 1_500),
    "PyTorch weights": (Weights, "torch", 50, 1_500),
    "checkpoint": (Weights, "checkpoint", 50, 1_500),
    "finished run": (Weights, "finished_run", 100, 2_000),
    "finished run, its bytes": (Weights, "finished_run_bytes", 100, 2_000),
    "archive": (Archives, "archive", 50, 1_500),
    "SPEC": (Specs, "spec", 300, 5_000),
    "transform": (Specs, "transform", 100, 1_000),
    **part_readers.READERS,
}
