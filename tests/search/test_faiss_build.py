"""Indexes of FAISS built piece by piece and continued, against FAISS used directly; and exact re-ranking."""

import shutil

import faiss
import numpy as np
import pytest

from hueprobe import memory_from_arrays, open_memory, open_searcher
from hueprobe.errors import HueprobeWarning, SearcherError, StorageError
from hueprobe.memory.headers import folder_problems, read_header
from hueprobe.search import build_index, faiss_build, measure_recall, parse_spec
from hueprobe.search import faiss as adapter
from hueprobe.search.index import StoredIndex, list_indexes, recall_of

BY_PIECES = ["IVF8,Flat", "PCA8,IVF8,SQ8", "IVF8,PQ4x4np", "IVF8_HNSW8,SQfp16"]
AT_ONCE = ["IVF8,PQ4x4fs", "IVF8,SQ8,RFlat", "PQ4x4np", "HNSW8"]
BLOCK, PIECE = 70, 200  # vectors


@pytest.fixture
def memory(tmp_path):
    values = np.random.default_rng(0).random((90, 16, 3, 3)).astype(np.float32)
    values[3, :, 1, 1] = 0  # a zero vector
    values[11] = values[10]  # a duplicate image
    return memory_from_arrays(tmp_path / "m", values, ["a", "b"] * 45)


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(faiss_build, "BLOCK", BLOCK)
    monkeypatch.setattr(faiss_build, "_PIECE_VECTORS", PIECE)


def at_once(memory, factory, *, train=None):
    """The index as FAISS makes it of all vectors at once."""
    ids = np.flatnonzero(memory.valid())
    sample = ids if train is None else np.sort(np.random.default_rng(0).choice(ids, train, replace=False))
    index = faiss.index_factory(memory.n_channels, factory, faiss.METRIC_INNER_PRODUCT)
    index.train(memory.vectors(sample))
    index.add_with_ids(memory.vectors(ids), ids)
    return index


def index_file(memory, spec):
    return StoredIndex(memory, spec).folder.path / "index.faiss"


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("factory", BY_PIECES)
def test_pieces_put_together_are_the_bytes_of_vectors_added_at_once(memory, small_pieces, factory):
    build_index(memory, f"faiss:{factory}")
    expected = faiss.serialize_index(at_once(memory, factory)).tobytes()
    assert index_file(memory, f"faiss:{factory}").read_bytes() == expected


@pytest.mark.parametrize("n", [0, 1, 3, 200])
def test_sizes_of_few_filled_lists_are_written_as_faiss_does(n):
    vectors = np.random.default_rng(n).random((200, 4)).astype(np.float32)
    index = faiss.index_factory(4, "IVF5,Flat")
    index.train(vectors)
    index.add(vectors[:n])
    sizes = np.array([index.invlists.list_size(i) for i in range(5)], np.uint64)
    written = adapter._list_sizes(sizes, 16)
    codes = int(n * (16 + 8))
    file = faiss.serialize_index(index).tobytes()
    assert file[len(file) - codes - len(written) : len(file) - codes] == written


@pytest.mark.parametrize("factory", [*BY_PIECES, "IVF8,PQ4x4fs", "PQ4x4np"])
def test_a_given_sample_trains_as_in_faiss_itself(memory, small_pieces, factory):
    spec = f"faiss:{factory};train=640"
    build_index(memory, spec)
    searcher, queries = open_searcher(memory, spec, build=False), memory.vectors(np.arange(0, 800, 7))
    if factory == "PQ4x4np":
        factory = "IDMap,PQ4x4np"
    products, ids = at_once(memory, factory, train=640).search(queries, 10)
    found = searcher._index.search(queries, 10)
    np.testing.assert_array_equal(found[0], products)
    np.testing.assert_array_equal(found[1], ids)
    header = read_header(searcher.folder).to_json()
    assert header["training"] == {"n_vectors": 640, "seed": 0, "device": "cpu"}
    assert header["spec"] == f"faiss:{searcher.spec.factory};train=640"


def test_the_default_sample_grows_with_the_lists_and_untrained_indexes_record_none(memory, monkeypatch):
    monkeypatch.setattr(faiss_build, "_TRAINING_VECTORS", 500)
    monkeypatch.setattr(faiss_build, "_PER_LIST", 50)
    for factory, expected in (("IVF8,Flat", 500), ("IVF12,Flat", 600), ("IVF20,Flat", 809)):
        build_index(memory, f"faiss:{factory}")
        assert list_indexes(memory)[f"faiss-{factory}"]["training"]["n_vectors"] == expected
    build_index(memory, "faiss:HNSW8")
    assert "training" not in list_indexes(memory)["faiss-HNSW8"]


@pytest.mark.parametrize("n", [1, 17, 808, 809, 5000])
def test_the_sample_is_drawn_as_from_all_ids(memory, monkeypatch, n):
    monkeypatch.setattr(faiss_build, "_IDS_AT_A_TIME", 100)
    ids = np.flatnonzero(memory.valid())
    n = min(n, len(ids))
    expected = np.sort(np.random.default_rng(0).choice(ids, n, replace=False))
    np.testing.assert_array_equal(faiss_build._drawn_ids(memory.valid(), n), expected)


def test_never_more_than_a_block_is_added_and_a_piece_in_ram(memory, small_pieces, monkeypatch):
    added, held = [], []
    add, write_lists = adapter.FaissBuild.add, adapter.FaissBuild.write_lists
    monkeypatch.setattr(
        adapter.FaissBuild,
        "add",
        lambda *a: added.append(len(a[2])) or add(*a),
    )
    monkeypatch.setattr(
        adapter.FaissBuild,
        "write_lists",
        lambda self, path: held.append(self._lists.invlists.compute_ntotal()) or write_lists(self, path),
    )
    build_index(memory, "faiss:IVF8,Flat")
    assert max(added) <= BLOCK and sum(added) == memory.valid().sum() == sum(held)
    assert max(held) <= PIECE and len(held) == 6


class Stopped(BaseException):
    """As a KeyboardInterrupt."""


@pytest.mark.parametrize("error", [Stopped, StorageError])
@pytest.mark.parametrize("spec", ["faiss:IVF8,PQ4x4np", "faiss:PQ4x4np"])
def test_a_build_stopped_at_any_write_goes_on_to_the_undisturbed_bytes(
    memory, small_pieces, monkeypatch, tmp_path, spec, error
):
    shutil.copytree(memory.path, tmp_path / "undisturbed")
    build_index(open_memory(tmp_path / "undisturbed"), spec)
    whole = contents(tmp_path / "undisturbed" / "indexes")
    writes, trained, added, stop_at = [], [], [], 0

    def stopping(name):
        original = getattr(adapter.FaissBuild, name)

        def write(self, *arguments):
            if len(writes) == stop_at:
                raise error("stopped")
            writes.append(name)
            return original(self, *arguments)

        return write

    for name in ("write", "write_lists", "write_joined"):
        monkeypatch.setattr(adapter.FaissBuild, name, stopping(name))
    train, add = adapter.FaissBuild.train, adapter.FaissBuild.add
    monkeypatch.setattr(
        adapter.FaissBuild, "train", lambda *a, **k: trained.append(stop_at) or train(*a, **k)
    )
    monkeypatch.setattr(adapter.FaissBuild, "add", lambda *a: added.append(len(a[2])) or add(*a))
    unfinished = memory.path / "indexes" / f"{StoredIndex(memory, spec).folder.path.name}.unfinished"
    for _ in range(12):  # every run gets one write further
        try:
            build_index(memory, spec)
            break
        except error:
            stop_at += 1
            assert not StoredIndex(memory, spec).exists and unfinished.is_dir()
            assert "unfinished" in folder_problems(memory.path, {memory.ledger.tip})[0]
            with pytest.raises(SearcherError, match="has no index"):
                open_searcher(memory, spec, build=False)
            writes.clear()
            writes += [None] * (stop_at - 1)
    assert contents(memory.path / "indexes") == whole and not unfinished.exists()
    if spec == "faiss:IVF8,PQ4x4np":
        assert trained == [0, 1]  # the first was not kept
        assert sum(added) <= memory.valid().sum() + 7 * PIECE  # of each stop, a piece was lost


def test_what_a_stopped_build_left_is_removed_if_it_belongs_to_something_else(
    memory, small_pieces, monkeypatch, tmp_path
):
    def stopped(*_):
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(adapter.FaissBuild, "write_joined", stopped)
        for spec in ("faiss:IVF8,Flat", "faiss:IVF8,Flat;train=700"):
            with pytest.raises(Stopped):
                build_index(memory, spec)
    left = sorted(p.name for p in (memory.path / "indexes").iterdir())
    assert left == ["faiss-IVF8,Flat%3btrain=700.unfinished", "faiss-IVF8,Flat.unfinished"]
    assert list_indexes(memory) == {}
    (memory.path / "indexes" / left[0] / "build.json").write_text("{}")  # what it belongs to is unknown
    monkeypatch.setattr(faiss_build.importlib.metadata, "version", lambda _: "0")  # and FAISS is another
    build_index(memory, "faiss:IVF8,SQ8")
    assert [p.name for p in (memory.path / "indexes").glob("*.unfinished")] == left[1:]
    assert b'"0"' not in (memory.path / "indexes" / left[1] / "build.json").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(adapter.FaissBuild, "write_joined", stopped)
        with pytest.raises(Stopped):
            build_index(memory, "faiss:IVF8,Flat")
    assert b'"0"' in (memory.path / "indexes" / left[1] / "build.json").read_bytes()  # begun anew
    monkeypatch.undo()
    values = np.random.default_rng(9).random((10, 16, 3, 3)).astype(np.float32)
    memory_from_arrays(memory.path, values, overwrite=True)
    assert not (memory.path / "indexes").exists()


@pytest.mark.parametrize("factory", BY_PIECES)
def test_lists_on_disk_answer_as_lists_in_ram(memory, factory):
    in_ram = open_searcher(memory, f"faiss:{factory};nprobe=3,rerank=30")
    on_disk = open_searcher(memory, f"faiss:{factory};nprobe=3,ondisk=1,rerank=30")
    assert len(list_indexes(memory)) == 1  # the settings are the search's
    queries = memory.vectors(np.arange(0, 800, 11))
    one, other = in_ram.search(queries, 10), on_disk.search(queries, 10)
    np.testing.assert_array_equal(one.ids, other.ids)
    np.testing.assert_array_equal(one.distances, other.distances)
    assert recall_of(in_ram) == recall_of(on_disk)
    assert set(next(iter(list_indexes(memory).values()))["recall_at_10"]) == {"nprobe=3,rerank=30"}


@pytest.mark.parametrize("factory", AT_ONCE)
def test_without_plain_lists_nothing_can_stay_on_disk(memory, factory):
    with pytest.raises(SearcherError, match="leave ondisk=1 out"):
        open_searcher(memory, f"faiss:{factory};ondisk=1")
    open_searcher(memory, f"faiss:{factory}")
    with pytest.raises(SearcherError, match="leave ondisk=1 out"):
        open_searcher(memory, f"faiss:{factory};ondisk=1")


@pytest.mark.parametrize("excluding", [False, True])
@pytest.mark.parametrize("factory", ["PCA8,IVF8,PQ4x4np", "IVF8,PQ4x4np,RFlat", "HNSW8"])
def test_candidates_are_ranked_by_exact_distances_from_the_shards(memory, factory, excluding):
    setting = "efSearch=40" if factory == "HNSW8" else "nprobe=4"
    searcher = open_searcher(memory, f"faiss:{factory};{setting},rerank=60")
    ids = np.arange(0, 800, 9)
    queries = memory.vectors(ids)
    excluded = (ids // 9)[:, None] if excluding else None
    found = searcher.search(queries, 10, exclude_images=excluded)
    index = at_once(memory, factory if factory.startswith("PCA") else f"IDMap,{factory}")
    if factory == "HNSW8":
        faiss.downcast_index(index.index).hnsw.efSearch = 40
    else:
        faiss.extract_index_ivf(index).nprobe = 4
    _, candidates = index.search(queries, 60 + (9 if excluding else 0))
    for row, (query, fetched) in enumerate(zip(queries, candidates, strict=True)):
        allowed = [i for i in fetched if i >= 0 and not (excluding and i // 9 == ids[row] // 9)]
        by_distance = sorted(
            (float(np.sqrt(((query.astype(float) - memory.vectors([i])[0].astype(float)) ** 2).sum())), i)
            for i in allowed
        )[:10]
        assert found.ids[row].tolist() == [i for _, i in by_distance]
        np.testing.assert_allclose(found.distances[row], [d for d, _ in by_distance], rtol=1e-12)


def test_more_candidates_find_more_and_the_recall_is_that_of_the_settings(memory):
    recalls = []
    for settings in ("nprobe=8", "nprobe=8,rerank=40", "nprobe=8,rerank=800"):
        searcher = open_searcher(memory, f"faiss:IVF8,PQ4x4np;{settings}")
        recalls.append(recall_of(searcher))
        assert recalls[-1] == measure_recall(memory, searcher)
        assert list_indexes(memory)["faiss-IVF8,PQ4x4np"]["recall_at_10"][settings] == recalls[-1]
    assert recalls[0] < recalls[1] < recalls[2] == 1.0


@pytest.mark.parametrize(
    "spec, said",
    [
        ("faiss:Flat;rerank=0", "rerank .* positive whole number, got '0'"),
        ("faiss:Flat;rerank=many", "rerank .* positive whole number, got 'many'"),
        ("faiss:Flat;rerank=9", "at least 10 .* got 9"),
        ("faiss:Flat;ondisk=2", "can only be 1, got 2"),
        ("faiss:IVF8,Flat;train=1.5", "train .* positive whole number, got '1.5'"),
        ("faiss:IVF8,Flat;train=7", "8 lists need at least as many .* there are 7; .* larger train="),
        ("annoy:trees=2,rerank=20", "allowed: trees, search_k"),
    ],
)
def test_impossible_settings_are_one_sentence(memory, spec, said):
    with pytest.raises(SearcherError, match=said):
        open_searcher(memory, spec)
    assert not list((memory.path / "indexes").glob("*"))


def test_more_neighbors_than_candidates_are_refused(memory):
    searcher = open_searcher(memory, "faiss:Flat;rerank=20")
    assert (searcher.search(memory.vectors([0]), 20).ids >= 0).all()
    with pytest.raises(SearcherError, match="ranks 20 candidates, fewer than k=21; use rerank=21 or more"):
        searcher.search(memory.vectors([0]), 21)


@pytest.mark.parametrize("factory, fewest", [("IVF32,Flat", 1248), ("IVF8,PQ4x5np", 1248)])
def test_a_sample_that_faiss_finds_small_is_one_warning(memory, capfd, factory, fewest):
    with pytest.warns(HueprobeWarning, match=f"at least {fewest} vectors.*there are 809"):
        build_index(memory, f"faiss:{factory}")
    assert "WARNING" not in "".join(capfd.readouterr())


def test_specs_in_canonical_form():
    spec = parse_spec("faiss:OPQ64_256,IVF65536,PQ64;rerank=100,train=4000000,nprobe=64")
    assert spec.text == "faiss:OPQ64_256,IVF65536,PQ64;train=4000000,nprobe=64,rerank=100"
    assert parse_spec(spec.text) == spec
    assert spec.index == "faiss:OPQ64_256,IVF65536,PQ64;train=4000000"
    assert (spec.factory, spec.train, spec.rerank) == ("OPQ64_256,IVF65536,PQ64", 4_000_000, 100)
    assert parse_spec("faiss:Flat").text == "faiss:Flat" and parse_spec("faiss:Flat").train is None
    assert parse_spec("faiss:Flat;train=5").text == "faiss:Flat;train=5"


def test_gpus_find_the_lists_where_there_are_any(memory, monkeypatch):
    """With copies on the CPU in their place: what is trained and added is the same, and put back."""
    build_index(memory, "faiss:IVF8,SQ8")
    expected, moved = index_file(memory, "faiss:IVF8,SQ8").read_bytes(), []
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 1)
    monkeypatch.setattr(
        faiss,
        "index_cpu_to_all_gpus",
        lambda index: moved.append(faiss.clone_index(index)) or moved[-1],
        raising=False,
    )
    build_index(memory, "faiss:IVF8,SQ8")
    assert [index.ntotal for index in moved] == [8, 8]  # centroids that it found, and that it looks at
    assert index_file(memory, "faiss:IVF8,SQ8").read_bytes() == expected
    assert list_indexes(memory)["faiss-IVF8,SQ8"]["training"]["device"] == "gpu"
