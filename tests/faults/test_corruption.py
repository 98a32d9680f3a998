"""A damaged memory is noticed: by `verify` always, by opening and asking where ledger or header can tell."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from hueprobe import KernelDensityClassifier, open_memory
from hueprobe.errors import HueprobeError, HueprobeWarning, MemoryDamagedError, SearcherError
from hueprobe.memory import verify_memory
from hueprobe.search import build_index, open_searcher
from tests.small_memories import memory_of_noise, noise

pytestmark = pytest.mark.slow

SPECS = ("annoy:trees=2", "faiss:Flat")
# Bytes of vectors are mapped, not read, so that opening them is instant; `verify` reads them.
NOT_READ_WHOLE = (".vectors.npy", ".vectors.sparse")
SHAPE = {"channels": 8, "grid": (3, 4)}


def make(path, **options):
    """Make a memory of three shards."""
    return memory_of_noise(path, 70, **SHAPE, classes="abcdefg", shard_images=32, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A memory of three shards, two indexes and a file of codes, and one like it with other bytes."""
    return whole_of(tmp_path_factory, "float16")


@pytest.fixture(scope="module")
def whole_sparse(tmp_path_factory):
    """The same in `sparse16`."""
    return whole_of(tmp_path_factory, "sparse16")


def whole_of(tmp_path_factory, dtype):
    folder = tmp_path_factory.mktemp("whole")
    for name, seed in (("m", 0), ("other", 1)):
        memory = make(folder / name, seed=seed, dtype=dtype)
        assert len(memory.shards) == 3
        for spec in SPECS:
            build_index(memory, spec)
        open_searcher(
            memory, memory_budget=0, products="int8", device="cpu"
        )  # only rounded vectors are kept in a file
    assert verify_memory(folder / "m").ok
    return folder


def files_of(memory):
    """Return the memory's files, relative; the lock is empty and says nothing."""
    names = [p.relative_to(memory).as_posix() for p in memory.rglob("*") if p.is_file()]
    return sorted(name for name in names if name != "lock")


def flip(rng, memory, other):
    name = str(rng.choice(files_of(memory)))
    data = bytearray((memory / name).read_bytes())
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    (memory / name).write_bytes(data)
    return f"flip a bit of {name}", name


def truncate(rng, memory, other):
    name = str(rng.choice(files_of(memory)))
    os.truncate(memory / name, int(rng.integers((memory / name).stat().st_size)))
    return f"truncate {name}", name


def delete(rng, memory, other):
    name = str(rng.choice(files_of(memory)))
    (memory / name).unlink()
    return f"delete {name}", name


def append_garbage(rng, memory, other):
    name = str(rng.choice(files_of(memory)))
    with (memory / name).open("ab") as file:
        file.write(rng.bytes(int(rng.integers(1, 200))))
    return f"append to {name}", name


def overwrite_a_block(rng, memory, other):
    name = str(rng.choice(files_of(memory)))
    data = bytearray((memory / name).read_bytes())
    start = int(rng.integers(len(data)))
    block = bytes(len(data[start : start + 512]))
    if data[start : start + 512] == block:
        block = b"\xff" * len(block)
    data[start : start + 512] = block
    (memory / name).write_bytes(data)
    return f"overwrite a block of {name} at {start}", name


def swap_two_shards(rng, memory, other):
    a, b = (memory / "shards" / f"{number:06d}" for number in rng.permutation(2))
    (vectors,) = {path.suffix for path in memory.glob("shards/*.vectors.*")}
    kind = str(rng.choice([f".vectors{vectors}", ".energy.npy", ".images.parquet"]))
    for x, y in ((a, "t"), (b, a), ("t", b)):
        Path(f"{x}{kind}" if x != "t" else memory / "t").replace(f"{y}{kind}" if y != "t" else memory / "t")
    return f"swap {kind} of two shards", f"shards/{a.name}{kind}"


def restore_an_old_ledger(rng, memory, other):
    lines = (memory / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    kept = int(rng.integers(len(lines)))
    (memory / "ledger.jsonl").write_bytes(b"".join(lines[:kept]))
    if rng.random() < 0.5:
        shutil.rmtree(memory / "indexes")
    return f"keep {kept} lines of the ledger", "ledger.jsonl"


def take_anothers_file(rng, memory, other):
    same = [name for name in files_of(memory) if (memory / name).read_bytes() != (other / name).read_bytes()]
    name = str(rng.choice(same))
    shutil.copy(other / name, memory / name)
    return f"take {name} of another memory", name


def take_anothers_index(rng, memory, other):
    name = str(rng.choice([p.name for p in (memory / "indexes").iterdir()]))
    shutil.rmtree(memory / "indexes" / name)
    shutil.copytree(other / "indexes" / name, memory / "indexes" / name)
    return f"take the index {name} of another memory", f"indexes/{name}/index.json"


def add_a_file(rng, memory, other):
    where = ("", "shards/", "indexes/", "indexes/faiss-Flat/", "shards/more/")[rng.integers(5)]
    name = f"{where}{('000003.vectors.npy', 'notes.txt', '.hidden', 'x.partial')[rng.integers(4)]}"
    (memory / name).parent.mkdir(exist_ok=True)
    (memory / name).write_bytes(rng.bytes(10))
    return f"add {name}", None


DAMAGES = (
    flip, flip, flip, truncate, delete, append_garbage, overwrite_a_block, swap_two_shards,
    restore_an_old_ledger, take_anothers_file, take_anothers_index, add_a_file,
)  # fmt: skip


TOLD = (HueprobeError, HueprobeWarning)


def answers(memory):
    """Return what a memory answers by each way of searching, or the error or warning that it gives."""
    query = noise(2, **SHAPE, seed=9)
    found = []
    for spec, budget in (("exact", None), *((spec, None) for spec in SPECS), ("exact", 0)):
        try:
            searcher = open_searcher(
                open_memory(memory), spec, memory_budget=budget, device="cpu", build=False
            )
            neighbors = searcher.search(query.transpose(0, 2, 3, 1).reshape(-1, 8), 5)
            found.append((neighbors.ids.tolist(), neighbors.distances.tolist()))
        except TOLD as error:
            found.append(error)
    try:
        given = KernelDensityClassifier(open_memory(memory)).classify_activations(query)
        found.append((given.unnormalized.tolist(), given.classes))
    except TOLD as error:
        found.append(error)
    return found


def is_noticed(memory):
    try:
        return not verify_memory(memory).ok
    except HueprobeError:
        return True


@pytest.mark.parametrize("kind", ["whole", "whole_sparse"])
def test_verify_finds_every_damage_and_no_answer_is_silently_another(faults, kind, request, tmp_path):
    whole = request.getfixturevalue(kind)
    right = answers(whole / "m")
    assert not [found for found in right if isinstance(found, TOLD)]
    memory, failures, n = tmp_path / "m", [], faults.n(40, 1_000)
    for trial in range(n):
        shutil.copytree(whole / "m", memory)
        what, name = DAMAGES[trial % len(DAMAGES)](faults.rng, memory, whole / "other")
        if not is_noticed(memory):
            failures.append(f"verify sees nothing: {what}")
        if not (name or "").endswith(NOT_READ_WHOLE):
            given = answers(memory)
            silent = [
                i
                for i, (was, now) in enumerate(zip(right, given, strict=True))
                if not isinstance(now, TOLD) and now != was
            ]
            if silent:
                failures.append(f"other answers in silence ({silent}): {what}")
        shutil.rmtree(memory)
    faults.tried(f"corruption: damages that verify must find, {kind}", n, failures)


def test_a_shard_of_another_size_type_or_order_is_not_opened(faults, whole, tmp_path):
    """What header and size tell is told by opening, without `verify`."""
    memory = tmp_path / "m"
    shutil.copytree(whole / "m", memory)
    path = memory / "shards" / "000001.vectors.npy"
    data = path.read_bytes()
    header = data[: data.index(b"\n") + 1]
    failures = []
    values = {
        position: {byte ^ 1, byte ^ 128, *b" 019Tfu<>{("} - {byte} for position, byte in enumerate(header)
    }
    trials = [(position, value) for position, several in values.items() for value in sorted(several)]
    n = faults.n(200, len(trials))
    for position, value in faults.rng.permutation(trials)[:n].tolist():
        path.write_bytes(header[:position] + bytes([value]) + data[position + 1 :])
        try:
            vectors = open_memory(memory).shards[1].vectors
        except HueprobeError:
            continue
        except Exception as error:  # the trial's failure
            failures.append(f"byte {position} to {value}: {error!r}")
            continue
        if vectors.tobytes() != data[len(header) :] or vectors.shape != (32, 3, 4, 8):
            failures.append(f"byte {position} to {value}: read as {vectors.dtype} {vectors.shape}")
    faults.tried("corruption: headers of vectors", n, failures)


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_a_lost_ledger_does_not_cost_the_shards(whole, tmp_path, kept):
    """A ledger cut at a line end is a valid chain: a build that goes on must not remove what it lost."""
    memory = tmp_path / "m"
    shutil.copytree(whole / "m", memory)
    shards = {path.name: path.read_bytes() for path in (memory / "shards").iterdir()}
    lines = (memory / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    (memory / "ledger.jsonl").write_bytes(b"".join(lines[:kept]))
    if kept < 3:  # one shard too many is what a killed build leaves
        with pytest.raises(HueprobeError, match="outdated or lost"):
            make(memory)
        assert {path.name: path.read_bytes() for path in (memory / "shards").iterdir()} == shards
    make(memory, overwrite=kept < 3)
    assert {path.name: path.read_bytes() for path in (memory / "shards").iterdir()} == shards


def test_an_index_of_the_memory_before_is_refused_not_damage(tmp_path, small_memory):
    memory = small_memory(tmp_path / "m", n=40, **SHAPE, classes="ab")
    for spec in SPECS:
        build_index(memory, spec)
    small_memory(tmp_path / "m", n=41, **SHAPE, classes="ab", overwrite=True)
    assert verify_memory(tmp_path / "m").ok  # overwriting took the indexes along
    shutil.copytree(tmp_path / "m", tmp_path / "later")
    for spec in SPECS:
        build_index(open_memory(tmp_path / "later"), spec)
    shutil.copytree(tmp_path / "later" / "indexes", tmp_path / "m" / "indexes", dirs_exist_ok=True)
    assert verify_memory(tmp_path / "m").ok  # the same memory, elsewhere
    header = tmp_path / "m" / "indexes" / "faiss-Flat" / "index.json"
    header.write_text(header.read_text().replace('"n_vectors": 492', '"n_vectors": 491'))
    with pytest.raises(SearcherError, match="damaged"):
        open_searcher(open_memory(tmp_path / "m"), "faiss:Flat")


# --- Each guard once, so that the short run never misses one ----------------------------------------------


def changed(whole, memory, name, change):
    shutil.copytree(whole / "m", memory)
    data = (memory / name).read_bytes()
    (memory / name).write_bytes(change(data))
    assert (memory / name).read_bytes() != data
    return memory


def last_bit(data):
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize("name", ["shards/000001.energy.npy", "memory.json"])
def test_what_is_read_whole_is_compared_with_its_hash(whole, tmp_path, name):
    """One bit of an energy, and a space for the newline that ends memory.json: readable both."""
    change = last_bit if name.endswith("npy") else lambda data: data[:-1] + b" "
    memory = changed(whole, tmp_path / "m", name, change)
    with pytest.raises(MemoryDamagedError, match="bytes differ from"):
        open_memory(memory).energy()


def test_vectors_in_another_order_of_axes_are_not_opened(whole, tmp_path):
    name = "shards/000001.vectors.npy"
    memory = changed(whole, tmp_path / "m", name, lambda data: data.replace(b": False", b": True ", 1))
    assert np.load(memory / name, allow_pickle=False).shape == (32, 3, 4, 8)  # NumPy takes it
    with pytest.raises(MemoryDamagedError, match=r"000001\.vectors"):
        open_memory(memory)


@pytest.mark.parametrize("spec", [*SPECS, "exact"])
def test_a_damaged_index_answers_nothing(whole, tmp_path, spec):
    folder = {"exact": "exact-*"}.get(spec, spec.replace(":", "-"))
    path = next(path for path in (whole / "m" / "indexes").glob(f"{folder}/*") if path.suffix != ".json")
    memory = changed(whole, tmp_path / "m", path.relative_to(whole / "m").as_posix(), flipped)

    def search():
        searcher = open_searcher(open_memory(memory), spec, memory_budget=0, products="int8", device="cpu")
        return searcher.search(np.eye(8, dtype=np.float32), 3)

    with pytest.raises(SearcherError, match="damaged"):
        search()
    assert not verify_memory(memory).ok


def flipped(data):
    """Flip the lowest bit of the first rounded vector: a number that is as good as the one before."""
    return bytes([data[0] ^ 1]) + data[1:]


def test_a_ledger_without_its_closing_line_is_unfinished(whole, tmp_path):
    cut = tmp_path / "m"
    changed(whole, cut, "ledger.jsonl", lambda data: b"".join(data.splitlines(keepends=True)[:-1]))
    shutil.rmtree(cut / "indexes")
    found = verify_memory(cut)
    assert found.problems == () and "70 of 70 images" in found.unfinished and not found.ok
    with pytest.warns(HueprobeWarning, match="is not complete"):
        open_searcher(open_memory(cut))
