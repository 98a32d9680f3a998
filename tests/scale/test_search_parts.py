"""A search in parts, merged, is one search: same matches, same weights, same n_C, whatever the parts."""

import shutil
import tracemalloc
from dataclasses import fields, replace
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import hueprobe as hp
from hueprobe.errors import HueprobeWarning, InputError, MemoryFormatError, ShapeError
from hueprobe.match_files import PART_KEY
from hueprobe.matches import Matches
from hueprobe.memory.files import locked
from hueprobe.query_source import QuerySource
from hueprobe.scale import Part, SearchedPart, SearchFacts, classify_matches, classify_matches_batches
from hueprobe.scale.part_search import part_images
from hueprobe.scale.search_files import PartFile
from hueprobe.search import Neighbors, merge_neighbors
from tests.oracles import nearest

PER_SHARD = 32


def memory_of(path, seed=0, *, n=70, levels=None, dtype="float16"):
    """A memory in three shards: zero vectors, images without a class, copies, groups; `levels` makes ties."""
    rng = np.random.default_rng(seed)
    shape = (n, 3, 1, 2)
    values = rng.random(shape) if levels is None else rng.integers(0, levels, shape)
    values[rng.integers(0, n, 3)] = 0
    values[rng.integers(0, n, 6)] = values[rng.integers(0, n, 6)]
    classes = [None if i % 11 == 3 else f"c{rng.integers(0, 4)}" for i in range(n)]
    groups = [None if i % 5 == 0 else f"g{rng.integers(0, 12)}" for i in range(n)]
    hashes = [f"{i % 60:064x}" for i in range(n)]
    return hp.memory_from_arrays(
        path, values.astype(np.float32), classes, groups=groups, hashes=hashes, shard_images=PER_SHARD,
        dtype=dtype,
    )  # fmt: skip


def searched(folder, memory, images=None, *, n=3, **options):
    files = [Path(folder) / f"part-{number}.arrow" for number in range(1, n + 1)]
    for number, file in enumerate(files, start=1):
        hp.search_part(file, memory, images, part=f"{number}/{n}", **options)
    return files


def require_equal_tables(found, expected):
    for field in fields(Matches):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other, err_msg=field.name)
            assert one.dtype == other.dtype, field.name
        else:
            assert one == other, field.name


def require_equal_classifications(found, expected, *, but=("matches", "seconds", "energy", "sources")):
    for field in fields(expected):
        if field.name in but:
            continue
        one, other = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(other, np.ndarray):
            np.testing.assert_array_equal(one, other, err_msg=field.name)
        else:
            assert one == other, field.name


# --- In RAM ---


@given(
    seed=st.integers(0, 10_000),
    k=st.integers(1, 7),
    n_parts=st.integers(1, 5),
    levels=st.sampled_from([2, 50]),
)
@settings(max_examples=60, deadline=None)
def test_lists_of_disjoint_parts_merge_to_the_list_of_all(seed, k, n_parts, levels):
    rng = np.random.default_rng(seed)
    n, n_queries = int(rng.integers(1, 20)), 4
    distance = rng.integers(0, levels, (n_queries, n)).astype(float)
    distance[rng.random(distance.shape) < 0.2] = np.inf  # excluded
    part_of = rng.integers(0, n_parts, n)

    def list_of(ids):
        found = np.full((n_queries, k), -1), np.full((n_queries, k), np.inf)
        for i in range(n_queries):
            ranked = sorted((distance[i, j], j) for j in ids if np.isfinite(distance[i, j]))[:k]
            for rank, (far, j) in enumerate(ranked):
                found[0][i, rank], found[1][i, rank] = j, far
        return Neighbors(*found)

    order = rng.permutation(n_parts)
    merged = merge_neighbors(list_of(np.flatnonzero(part_of == part)) for part in order)
    expected = list_of(range(n))
    np.testing.assert_array_equal(merged.ids, expected.ids)
    np.testing.assert_array_equal(merged.distances, expected.distances)


def test_lists_that_cannot_be_merged_are_refused():
    def empty(n, k):
        return Neighbors(np.full((n, k), -1), np.full((n, k), np.inf))

    with pytest.raises(InputError, match="at least one part"):
        merge_neighbors([])
    with pytest.raises(InputError, match=r"a part has the 2 nearest .*search every part with k=3"):
        merge_neighbors([empty(4, 3), empty(4, 2)])
    with pytest.raises(ShapeError, match="4 and 5 queries"):
        merge_neighbors([empty(4, 3), empty(5, 3)])
    assert merge_neighbors([empty(4, 3), empty(4, 5)], k=2).ids.shape == (4, 2)


# --- In files ---


@pytest.mark.slow
@given(
    seed=st.integers(0, 10_000),
    levels=st.sampled_from([None, 2, 3]),
    k=st.sampled_from([1, 4, 30, 200]),
    n_parts=st.integers(1, 3),
    exclude=st.sampled_from(["image", "group"]),
    dtype=st.sampled_from(["float16", "float32", "sparse16"]),
    ending=st.sampled_from(["parquet", "arrow"]),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_merged_parts_are_one_search(seed, levels, k, n_parts, exclude, dtype, ending, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    memory = memory_of(folder / "m", seed, levels=levels, dtype=dtype)
    assert len(memory.shards) == 3
    classifier = hp.KernelDensityClassifier(memory, k=k, exclude=exclude)
    with_one = classifier.leave_one_out()
    files = searched(folder, memory, n=n_parts, k=k, exclude=exclude)
    hp.merge_matches(files[::-1], folder / f"m.{ending}")  # in any order
    merged = hp.read_matches(folder / f"m.{ending}")
    require_equal_tables(merged, with_one.matches)
    # And one that does not trust the searcher: brute force in float64.
    stored = memory.vectors(np.arange(memory.n_slots))
    image = np.arange(memory.n_slots) // memory.grid.n_cells
    groups = np.array([str(group) for group in memory.images.groups])
    hashes = np.array(memory.sha256)
    allowed = hashes[image][:, None] != hashes[image][None]
    if exclude == "group":
        allowed &= (groups[image][:, None] != groups[image][None]) | (groups[image] == "None")[:, None]
    ids, distances = nearest(stored, stored, k, allowed)
    found = memory.grid.vector_id(merged.image, merged.y, merged.x)
    np.testing.assert_array_equal(found, ids[ids >= 0])
    np.testing.assert_allclose(merged.distance, distances[ids >= 0], rtol=1e-12, atol=1e-15)
    require_equal_classifications(classify_matches(folder / f"m.{ending}", memory), with_one)


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    return memory_of(tmp_path_factory.mktemp("m") / "a.memory", 1, levels=3)


def test_parts_are_runs_of_whole_shards(memory):
    assert [part_images(memory, Part(number, 2)) for number in (1, 2)] == [range(32), range(32, 70)]
    assert [len(part_images(memory, Part(number, 3))) for number in (1, 2, 3)] == [32, 32, 6]
    with pytest.raises(InputError, match=r"a\.memory has 3 shards, too few for 4 parts .*at most 3 parts"):
        part_images(memory, Part(1, 4))


def test_a_part_says_what_it_holds(memory, tmp_path):
    (_, file, _) = searched(tmp_path, memory, k=4)
    rows = pa.ipc.open_file(file).read_all()
    assert rows.column_names == ["query_image", "query_cell", "ids", "distances"]
    header = msgspec.json.decode(rows.schema.metadata[PART_KEY])
    assert header["part"] == [2, 3] and header["start"] == 32 and header["stop"] == 64
    assert "weights and alpha follow from all parts only" in header["contents"]
    found = SearchedPart.load(file)
    assert (found.part, found.images, found.k, found.n_query_images) == (Part(2, 3), range(32, 64), 4, 70)
    assert found.n_searched == memory.valid().sum() and 0 <= found.certified <= 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"part-{i}.arrow" for i in (1, 2, 3)]


def test_a_part_is_no_match_table(memory, tmp_path):
    (file, *_) = searched(tmp_path, memory, n=1)
    for read in (hp.read_matches, SearchFacts.load, classify_matches):
        with pytest.raises(InputError, match=r"part-1\.arrow is one part of a search.*hueprobe merge") as why:
            read(file)
        assert "\n" not in str(why.value)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A memory with copies, and queries: unreadable ones, a copy, one without a class, a class not known."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)

    def draw(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8)).save(path)

    for i in range(16):
        draw(root / "memory" / "abc"[i % 3] / f"{i:02d}.png")
    for name in ("a", "b"):  # in other shards
        shutil.copy(root / "memory" / "a" / "00.png", root / "memory" / name / "copy.png")
    (root / "memory" / "c" / "torn.png").write_bytes(b"no image")
    for i in range(9):
        draw(root / "queries" / "abd"[i % 3] / f"{i}.png")
    shutil.copy(root / "memory" / "a" / "00.png", root / "queries" / "a" / "same.png")
    for name in ("a", "d"):
        (root / "queries" / name / "torn.png").write_bytes(b"\x89PNG")
    table = hp.images.from_folder(root / "queries")
    lines = ["path,class,group"]
    for i, (path, name) in enumerate(zip(table.paths, table.classes, strict=True)):
        lines.append(f"queries/{path},{'' if i == 4 else name},g{i % 4}")
    (root / "queries.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def drawn(images):
    memory = hp.build_memory(
        images / "m", images / "memory", backbone="tests.tiny_network:tiny", layer="3", batch_size=2,
        shard_images=4, device="cpu",
    )  # fmt: skip
    assert len(memory.shards) == 5 and not memory.readable.all()
    return memory


@pytest.mark.parametrize("exclude", ["image", "group", None])
def test_images_from_outside(images, drawn, tmp_path, exclude):
    classifier = hp.KernelDensityClassifier(drawn, k=5, exclude=exclude, device="cpu")
    expected = hp.Classification.concatenate(classifier.classify_batches(images / "queries.csv"))
    assert len(expected.skipped) == 2 and len(expected.duplicates) == 1
    files = searched(tmp_path, drawn, images / "queries.csv", n=4, k=5, exclude=exclude, device="cpu")
    facts = hp.merge_matches(files, tmp_path / "m.parquet")
    assert not facts.leave_one_out and facts.exclude == (exclude or "none")
    require_equal_tables(hp.read_matches(tmp_path / "m.parquet"), expected.matches)
    found = classify_matches(tmp_path / "m.parquet", drawn)
    require_equal_classifications(found, expected)
    assert found.sources is None
    assert classify_matches(tmp_path / "m.parquet", keep_matches=False).matches is None


def test_leave_one_out_with_unreadable_images_and_copies(drawn, tmp_path):
    expected = hp.KernelDensityClassifier(drawn, k=5).leave_one_out()
    assert len(expected.skipped) == 1
    hp.merge_matches(searched(tmp_path, drawn, n=5, k=5), tmp_path / "m.arrow")
    found = classify_matches(tmp_path / "m.arrow", drawn)
    require_equal_classifications(found, expected)
    one, other = hp.NeighborTable([found]).to_arrow(), hp.NeighborTable([expected]).to_arrow()
    assert one.equals(other)


def test_a_part_without_any_vector(tmp_path):
    values = np.random.default_rng(0).random((64, 3, 1, 2)).astype(np.float32)
    values[:32] = 0
    memory = hp.memory_from_arrays(tmp_path / "m", values, ["a", "b"] * 32, shard_images=32)
    hp.merge_matches(searched(tmp_path, memory, n=2, k=3), tmp_path / "m.parquet")
    expected = hp.KernelDensityClassifier(memory, k=3).leave_one_out()
    require_equal_tables(hp.read_matches(tmp_path / "m.parquet"), expected.matches)
    require_equal_classifications(classify_matches(tmp_path / "m.parquet"), expected)


def test_images_are_classified_whole_wherever_groups_of_rows_end(drawn, tmp_path):
    """A table that another tool wrote again, with its metadata, in groups of seven rows."""
    hp.merge_matches(searched(tmp_path, drawn, n=2, k=5), tmp_path / "m.parquet")
    pq.write_table(pq.read_table(tmp_path / "m.parquet"), tmp_path / "seven.parquet", row_group_size=7)
    expected = classify_matches(tmp_path / "m.parquet")
    require_equal_classifications(classify_matches(tmp_path / "seven.parquet"), expected)
    assert len(list(classify_matches_batches(tmp_path / "seven.parquet"))) == len(expected)


@pytest.mark.slow
def test_merging_and_classifying_hold_a_batch_of_a_part_or_two(tmp_path, monkeypatch):
    """Four times as many batches take no more RAM, but for the few numbers about each."""
    monkeypatch.setattr("hueprobe.query_source._LEAVE_ONE_OUT_VECTORS", 8 * 16)
    peaks = {}
    for n in (64, 256):
        values = np.random.default_rng(0).random((n, 3, 4, 4)).astype(np.float32)
        memory = hp.memory_from_arrays(tmp_path / f"m{n}", values, ["a", "b"] * (n // 2), shard_images=32)
        (tmp_path / f"{n}").mkdir()
        files = searched(tmp_path / f"{n}", memory, n=2, k=100)
        read = len(PartFile(files[0])) * PartFile(files[0]).batch(0).neighbors.ids.nbytes * 2
        hp.merge_matches(files, tmp_path / "m.parquet")  # imports
        for name, work in (
            ("merge", lambda files=files: hp.merge_matches(files, tmp_path / "m.parquet")),
            ("classify", lambda: [None for _ in classify_matches_batches(tmp_path / "m.parquet")]),
        ):
            tracemalloc.start()
            work()
            peaks[name, n] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    assert read > 6e6  # of each part of the larger search
    for name in ("merge", "classify"):
        assert peaks[name, 256] < 1.5 * peaks[name, 64] + 2e5, peaks
        assert peaks[name, 256] < read / 2, peaks


def test_a_merged_csv_holds_the_matches(memory, tmp_path):
    files = searched(tmp_path, memory, n=2, k=3)
    hp.merge_matches(files, tmp_path / "m.csv")
    with pytest.warns(HueprobeWarning, match="no image tables"):
        found = hp.read_matches(tmp_path / "m.csv")
    expected = hp.KernelDensityClassifier(memory, k=3).leave_one_out().matches
    np.testing.assert_array_equal(found.weight, expected.weight)
    with pytest.raises(InputError, match=r"m\.csv does not say how it was searched"):
        classify_matches(tmp_path / "m.csv")


# --- What does not fit ---


def test_parts_that_are_not_those_of_one_search_are_named(memory, drawn, tmp_path):
    def part(name, *, number=1, of=3, within=memory, **options):
        hp.search_part(tmp_path / f"{name}.arrow", within, part=f"{number}/{of}", **{"k": 4, **options})
        return tmp_path / f"{name}.arrow"

    one, two, three = (part(f"p{number}", number=number) for number in (1, 2, 3))
    other = memory_of(tmp_path / "other.memory", 2)
    refused = [
        ([], "no parts to merge"),
        ([one, three], r"part 2/3 is missing; search with `hueprobe search --part 2/3`"),
        ([two], r"parts 1/3, 3/3 are missing"),
        ([one, two, two, three], r"p2\.arrow and .*p2\.arrow are both part 2/3; give each part once"),
        ([one, two, part("copy", number=2), three], r"p2\.arrow and .*copy\.arrow are both part 2/3"),
        ([one, two, part("k", number=3, k=5)], r"k\.arrow and .*p1\.arrow .*\(k 5, not 4\)"),
        ([one, two, part("group", number=3, exclude="group")], r"\(exclude group, not image\)"),
        ([one, part("half", number=2, of=2)], r"\(2 parts, not 3\)"),
        ([one, two, part("foreign", number=3, within=other)], "another memory, or another state of it"),
        ([one, two, tmp_path / "nowhere.arrow"], r"cannot read .*nowhere\.arrow: No such file"),
        ([one, two, memory.path / "memory.json"], r"memory\.json is not a finished part of a search"),
    ]
    for files, why in refused:
        with pytest.raises(InputError, match=why) as told:
            hp.merge_matches(files, tmp_path / "m.parquet")
        assert "\n" not in str(told.value)
    hp.merge_matches([one, two, three], tmp_path / "merged.arrow")
    with pytest.raises(InputError, match=r"merged\.arrow is not a part of a search"):
        hp.merge_matches([tmp_path / "merged.arrow", two, three], tmp_path / "m.parquet")
    with pytest.raises(InputError, match="is one of the parts"):
        hp.merge_matches([one, two, three], two)
    with pytest.raises(InputError, match=r"m\.xlsx.*\.parquet, \.arrow, \.csv"):
        hp.merge_matches([one, two, three], tmp_path / "m.xlsx")
    assert not list(tmp_path.glob("m.*"))
    with pytest.raises(InputError, match=r"merged\.arrow was not searched in .*m as it is now") as told:
        classify_matches(tmp_path / "merged.arrow", drawn)
    assert "\n" not in str(told.value)


def test_queries_that_are_not_the_same_are_named(images, drawn, tmp_path):
    def part(number, queries, name):
        hp.search_part(tmp_path / name, drawn, queries, part=f"{number}/2", device="cpu")
        return tmp_path / name

    one = part(1, images / "queries", "one.arrow")
    with pytest.raises(InputError, match="another list of query images"):
        hp.merge_matches([one, part(2, images / "queries.csv", "list.arrow")], tmp_path / "m.parquet")
    with pytest.raises(InputError, match="queries are the memory's own images, not other images"):
        hp.merge_matches([one, part(2, None, "own.arrow")], tmp_path / "m.parquet")
    changed = shutil.copytree(images / "queries", tmp_path / "queries")
    hp.merge_matches([one, part(2, changed, "two.arrow")], tmp_path / "m.parquet")  # another folder
    Image.new("RGB", (24, 24)).save(changed / "a" / "0.png")
    with pytest.raises(InputError, match="another list of query images, or of their classes, groups and s"):
        hp.merge_matches([one, part(2, changed, "sizes.arrow")], tmp_path / "m2.parquet")
    queries = replace(
        hp.images.from_folder(changed), sizes=hp.images.from_folder(images / "queries").sizes
    )  # as if the size were the same
    with pytest.raises(InputError, match=r"other\.arrow was searched with other vectors of the same query"):
        hp.merge_matches([one, part(2, queries, "other.arrow")], tmp_path / "m2.parquet")
    assert not (tmp_path / "m2.parquet").exists()


def test_machines_whose_distances_differ_are_told(memory, tmp_path, monkeypatch):
    one, two = searched(tmp_path, memory, n=2, k=3)
    hp.merge_matches([one, two], tmp_path / "m.parquet")
    monkeypatch.setattr("hueprobe.scale.part_search.arithmetic", lambda: "0" * 16)
    hp.search_part(two, memory, part="2/2", k=3, overwrite=True)
    with pytest.warns(HueprobeWarning, match="distances differ in the last bits"):
        hp.merge_matches([one, two], tmp_path / "m.parquet")


@pytest.mark.parametrize("at", [0.5, 0.7])
def test_a_changed_byte_is_found(memory, tmp_path, at):
    one, two = searched(tmp_path, memory, n=2, k=30)
    data = bytearray(two.read_bytes())
    data[int(at * len(data))] ^= 1
    two.write_bytes(data)
    with pytest.raises(InputError, match=r"part-2\.arrow is damaged: rows of batch 0"):
        hp.merge_matches([one, two], tmp_path / "m.parquet")
    assert not (tmp_path / "m.parquet").exists()


def test_rows_that_cannot_be_those_of_the_part_are_refused(memory, tmp_path):
    """Written with a hash that fits: by another tool, or by an enemy."""
    one, two = searched(tmp_path, memory, n=2, k=3)
    batch, facts = PartFile(two).batch(0), PartFile(two).facts(0)
    file = pa.ipc.open_file(two)
    images, _ = file.get_batch_with_custom_metadata(0)
    ids = np.where(batch.neighbors.ids >= 0, 10**6, -1)
    changed = type(batch)(batch.query_image, batch.query_cell, Neighbors(ids, batch.neighbors.distances))
    facts = msgspec.structs.replace(facts, sha256=changed.sha256())
    columns = [pa.array(changed.query_image), pa.array(changed.query_cell)]
    columns.append(pa.FixedSizeListArray.from_arrays(pa.array(ids.reshape(-1)), 3))
    columns.append(pa.FixedSizeListArray.from_arrays(pa.array(batch.neighbors.distances.reshape(-1)), 3))
    rows = pa.RecordBatch.from_arrays(columns, schema=file.schema)
    with pa.ipc.new_file(tmp_path / "made.arrow", file.schema) as writer:
        writer.write_batch(images, custom_metadata=file.get_batch_with_custom_metadata(0)[1])
        writer.write_batch(rows, custom_metadata={"hueprobe.search_batch": msgspec.json.encode(facts)})
    with pytest.raises(InputError, match="neighbors outside its part"):
        hp.merge_matches([one, tmp_path / "made.arrow"], tmp_path / "m.parquet")


def test_what_cannot_be_searched_is_refused(memory, drawn, images, tmp_path):
    with pytest.raises(InputError, match=r"'p\.parquet'; use the extension \.arrow"):
        hp.search_part(tmp_path / "p.parquet", memory, part="1/2")
    with pytest.raises(InputError, match=r"folder .*nowhere does not exist"):
        hp.search_part(tmp_path / "nowhere" / "p.arrow", memory, part="1/2")
    with pytest.raises(InputError, match="leave-one-out without exclusion"):
        hp.search_part(tmp_path / "p.arrow", memory, part="1/2", exclude=None)
    with pytest.raises(InputError, match="k must be at least 1"):
        hp.search_part(tmp_path / "p.arrow", memory, part="1/2", k=0)
    with pytest.raises(InputError, match="3/2"):
        hp.search_part(tmp_path / "p.arrow", memory, part="3/2")
    unfinished = shutil.copytree(drawn.path, tmp_path / "u")
    lines = (unfinished / "ledger.jsonl").read_text().splitlines(keepends=True)
    (unfinished / "ledger.jsonl").write_text("".join(lines[:-1]))
    with pytest.raises(InputError, match="u is not complete, so its parts may still change"):
        hp.search_part(tmp_path / "p.arrow", hp.open_memory(unfinished), part="1/2")
    assert [path.name for path in tmp_path.iterdir()] == ["u"]


def test_a_part_beyond_the_memory_budget_is_told(memory, tmp_path):
    with pytest.warns(HueprobeWarning, match="the vectors of part 2/2 exceed the memory budget"):
        hp.search_part(tmp_path / "p.arrow", memory, part="2/2", memory_budget=100)
    hp.search_part(tmp_path / "q.arrow", memory, part="2/2")
    one, other = (PartFile(tmp_path / name).batch(0) for name in ("p.arrow", "q.arrow"))
    np.testing.assert_array_equal(one.neighbors.ids, other.neighbors.ids)


# --- Resuming ---


class Stopped(Exception):
    pass


def stopped_after(monkeypatch, n):
    """Let sources of queries fail behind `n` batches, counted over all that they yield."""
    for name in ("of_images", "of_memory"):
        given_by = getattr(QuerySource, name)

        def few(self, *args, given_by=given_by, **options):
            for number, queries in enumerate(given_by(self, *args, **options)):
                if number == n:
                    raise Stopped
                yield queries

        monkeypatch.setattr(QuerySource, name, few)


def starts_noted(monkeypatch):
    """Return a list that gets the first query image of each search."""
    starts = []
    of_images, of_memory = QuerySource.of_images, QuerySource.of_memory

    def images_from(self, table, start=0):
        starts.append(start)
        return of_images(self, table, start=start)

    def rows_of_memory(self, rows):
        starts.append(rows[0])
        return of_memory(self, rows=rows)

    monkeypatch.setattr(QuerySource, "of_images", images_from)
    monkeypatch.setattr(QuerySource, "of_memory", rows_of_memory)
    return starts


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("torn", [0, 1, 300])
def test_a_stopped_search_goes_on(images, drawn, tmp_path, monkeypatch, own, torn):
    monkeypatch.setattr("hueprobe.query_source._LEAVE_ONE_OUT_VECTORS", 36 * 3)  # three images
    queries = None if own else images / "queries.csv"
    options = {"part": "2/3", "k": 5, "device": "cpu"}
    whole = tmp_path / "whole.arrow"
    hp.search_part(whole, drawn, queries, **options)
    n = len(PartFile(whole))
    assert n > 4
    file = tmp_path / "part.arrow"
    for _ in range(3):  # stopped thrice, each time behind one batch more
        with monkeypatch.context() as patch:
            stopped_after(patch, 1 + bool(torn))
            with pytest.raises(Stopped):
                hp.search_part(file, drawn, queries, **options)
        assert not file.exists()
        partial = file.with_name("part.arrow.partial")
        with partial.open("r+b") as left:
            left.truncate(partial.stat().st_size - torn)
    starts = starts_noted(monkeypatch)
    hp.search_part(file, drawn, queries, **options)
    assert starts[0] > 2  # what was searched is not searched again
    for number in range(n):
        one, other = (PartFile(path) for path in (file, whole))
        np.testing.assert_array_equal(one.batch(number).neighbors.ids, other.batch(number).neighbors.ids)
        facts = [
            msgspec.structs.replace(part.facts(number), n_certified=0, format="") for part in (one, other)
        ]
        assert facts[0] == facts[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part.arrow", "whole.arrow"]


def test_a_copy_that_was_not_finished_is_made_again(drawn, tmp_path, monkeypatch):
    """Killed while what an earlier run left is copied: the copy holds less, and is not read."""
    monkeypatch.setattr("hueprobe.query_source._LEAVE_ONE_OUT_VECTORS", 36 * 3)
    file = tmp_path / "part.arrow"
    with monkeypatch.context() as patch:
        stopped_after(patch, 3)
        with pytest.raises(Stopped):
            hp.search_part(file, drawn, part="1/2")
    partial = file.with_name("part.arrow.partial")
    partial.rename(file.with_name("part.arrow.partial.before"))
    partial.write_bytes(b"ARROW1\0\0")
    starts = starts_noted(monkeypatch)
    hp.search_part(file, drawn, part="1/2")
    assert starts == [9]


def test_a_finished_part_is_kept_and_that_of_another_search_too(memory, tmp_path):
    file = tmp_path / "p.arrow"
    hp.search_part(file, memory, part="1/2", k=3)
    before = file.stat().st_mtime_ns, file.read_bytes()
    assert hp.search_part(file, memory, part="1/2", k=3) == SearchedPart.load(file)
    for options, why in (({"k": 4}, "k 3, not 4"), ({"k": 3, "part": "2/2"}, "part 1/2, not 2/2")):
        with pytest.raises(InputError, match=rf"p\.arrow holds another search \({why}\).*--overwrite"):
            hp.search_part(file, memory, **{"part": "1/2", **options})
    assert (file.stat().st_mtime_ns, file.read_bytes()) == before
    assert hp.search_part(file, memory, part="1/2", k=4, overwrite=True).k == 4
    assert [path.name for path in tmp_path.iterdir()] == ["p.arrow"]


def test_what_a_stopped_search_left_is_not_another_searchs(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr("hueprobe.query_source._LEAVE_ONE_OUT_VECTORS", 36 * 3)
    file = tmp_path / "p.arrow"
    with monkeypatch.context() as patch:
        stopped_after(patch, 2)
        with pytest.raises(Stopped):
            hp.search_part(file, drawn, part="1/2", k=3)
    with pytest.raises(InputError, match=r"p\.arrow\.partial holds another search \(k 3, not 4\)"):
        hp.search_part(file, drawn, part="1/2", k=4)
    hp.search_part(file, drawn, part="1/2", k=4, overwrite=True)
    with monkeypatch.context() as patch:
        stopped_after(patch, 0)
        with pytest.raises(Stopped):
            hp.search_part(tmp_path / "q.arrow", drawn, part="1/2")
    assert [path.name for path in tmp_path.iterdir()] == ["p.arrow"]  # nothing of a search without a batch


def test_one_process_writes_a_part(memory, tmp_path):
    file = tmp_path / "p.arrow"
    busy = pytest.raises(MemoryFormatError, match=r"another process is writing .*p\.arrow; wait")
    with locked(tmp_path / "p.arrow.lock"), busy:
        hp.search_part(file, memory, part="1/2")
