"""Every number in the page is that of the library's result it came from."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image

import hueprobe as hp
from hueprobe import observations
from hueprobe.density import kernel_weights
from hueprobe.errors import HueprobeWarning, InputError
from hueprobe.explorer.documents import file_document, server_document
from hueprobe.explorer.exploration import verdicts_of
from hueprobe.explorer.explorer import explored_with
from hueprobe.explorer.thumbnails import ThumbnailSettings, thumbnail_bytes
from hueprobe.explorer.typed_arrays import DTYPES, decoded, encoded
from tests.small_memories import memory_of_noise, noise

NO_MATCH = 0xFFFFFFFF
K = 4
TINY = {"k": K, "device": "cpu"}


def exploration(memories, *, queries=None, exclude="image", images_root=None, results=None, k=K):
    return explored_with(
        [hp.KernelDensityClassifier(one, k=k, exclude=exclude) for one in memories],
        paths=[str(one.path) for one in memories],
        queries=None if queries is None else hp.images.resolve_images(queries),
        queries_name=None if queries is None else str(queries),
        thumbnails=ThumbnailSettings(),
        images_root=images_root,
        results=results,
    )


def document_of(*memories, max_images=None, **asked):
    return file_document(exploration(memories, **asked), max_images=max_images).document


def arrays(record):
    """Decode every array of a record."""
    return {
        name: decoded(value) if isinstance(value, dict) and "dtype" in value else value
        for name, value in record.items()
    }


def page_likelihoods(memory, queries):
    """Return Eq. (2) and (3) as the page computes them, from nothing but what it holds."""
    n, n_cells, k = queries["ids"].shape
    classes, of_image = memory["classes"], decoded(memory["images"]["class"])
    sums = np.zeros((n, len(classes)))
    for i in range(n):
        for cell in range(n_cells):
            d = queries["distance"][i, cell].astype(float)
            for j in range(k):
                found = queries["ids"][i, cell, j]
                if found != NO_MATCH and (c := of_image[found // n_cells]) >= 0:
                    sums[i, c] += np.exp(-(d[j] ** 2) / (d[0] ** 2 + memory["eps"]))
    counts = queries["counts"].astype(float)
    likelihood = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    total = likelihood.sum(1, keepdims=True)
    return np.divide(likelihood, total, out=np.zeros_like(sums), where=total > 0)


def check_queries(memory_json, queries, i, result, j, memory):
    """Compare query `i` of the page with image `j` of a result."""
    n_cells, grid = memory.grid.n_cells, memory.grid
    assert queries["paths"][i] == result.images[j]
    assert queries["class_names"][i] == result.true_class[j]
    true = result.true_class[j]
    assert queries["class"][i] == (memory.classes.index(true) if true in memory.classes else -1)
    assert queries["predicted"][i] == result.predicted[j] and queries["tie"][i] == result.tie[j]
    np.testing.assert_array_equal(queries["likelihood"][i], result.likelihood[j].astype(np.float32))
    np.testing.assert_array_equal(queries["counts"][i], result.class_counts[j])
    np.testing.assert_array_equal(queries["energy"][i], result.energy[j].ravel())
    expected_ids = np.full((n_cells, memory_json["k"]), NO_MATCH)
    expected_distance = np.zeros((n_cells, memory_json["k"]), np.float32)
    own = result.matches.select(result.matches.query_image == result.rows[j])
    for row in own.to_arrow(with_images=False).to_pylist():
        place = row["query_y"] * grid.width + row["query_x"], row["rank"] - 1
        expected_ids[place] = row["image"] * n_cells + row["y"] * grid.width + row["x"]
        expected_distance[place] = row["distance"]
        assert memory_json["images"]["paths"][row["image"]] == row["path"]
    np.testing.assert_array_equal(queries["ids"][i], expected_ids)
    np.testing.assert_array_equal(queries["distance"][i], expected_distance)


def noisy(path, **asked):
    """A memory without files, whose images have other copies, zero vectors and no class."""
    values = noise(7, channels=5, grid=(3, 2), seed=3)
    values[4] = values[2]  # a duplicate of another class
    values[1, :, 0, 1] = 0
    return hp.memory_from_arrays(path, values, ["a", "b", "a", None, "b", "a", "c"], **asked)


@pytest.mark.parametrize("exclude", ["image", "group"])
def test_leave_one_out_is_as_the_result_says(tmp_path, exclude):
    memory = noisy(tmp_path / "m", groups=["g", None, "g", None, None, None, "g"])
    with pytest.warns(HueprobeWarning, match="7 images could not be read"):
        explorer = hp.explore(memory, k=K, exclude=exclude)
    assert (explorer.n_queries, explorer.n_added, explorer.n_thumbnails) == (7, 0, 0)
    (one,) = document_of(memory, exclude=exclude)["memories"]
    result = hp.KernelDensityClassifier(memory, k=K, exclude=exclude).leave_one_out()
    queries = arrays(one["queries"])
    assert queries["memory_row"].tolist() == list(range(7)) and one["n_asked"] == 7 and one["sample"] is None
    for i in range(7):
        check_queries(one, queries, i, result, i, memory)
    zero = memory.grid.cell_index(0, 1)
    assert (queries["ids"][1, zero] == NO_MATCH).all()
    np.testing.assert_allclose(page_likelihoods(one, queries), result.likelihood, atol=1e-6)
    valid = memory.valid().reshape(7, -1).sum(1)
    barred = {
        "image": {2: [2, 4], 4: [2, 4]},
        "group": {0: [0, 2, 6], 2: [0, 2, 4, 6], 4: [2, 4], 6: [0, 2, 6]},
    }
    for i in range(7):
        left = [row for row in range(7) if row not in barred[exclude].get(i, [i])]
        for c in range(3):
            assert (
                queries["counts"][i, c] == valid[[row for row in left if memory.image_class[row] == c]].sum()
            )


def test_what_a_memory_is_stands_beside_its_queries(tmp_path):
    memory = noisy(tmp_path / "some.memory")
    document = document_of(memory)
    (one,) = document["memories"]
    assert (document["format"], document["version"], document["mode"]) == ("hueprobe-explorer", 1, "file")
    assert document["hueprobe"] == hp.__version__ and document["title"] == "some.memory"
    assert one["path"] == str(memory.path) and one["name"] == "some.memory"
    assert (one["grid"], one["k"], one["eps"], one["exclude"]) == ([3, 2], K, 1e-6, "image")
    assert (one["searcher"], one["certified"], one["network"], one["layer"]) == ("exact", True, "arrays", "")
    assert one["vectors"] == 41  # 7 images of 6 cells, one of them zero
    assert one["classes"] == ["a", "b", "c"] and decoded(one["class_vectors"]).tolist() == [18, 11, 6]
    assert decoded(one["images"]["class"]).tolist() == [0, 1, 0, -1, 1, 0, 2]
    assert decoded(one["images"]["thumbnail"]).tolist() == [-1] * 7 and one["images"]["root"] is None
    assert document["pictures"] == [] and document["verdicts"] is None


def test_approximate_searchers_are_not_called_certified(tmp_path):
    memory = noisy(tmp_path / "m")
    classifier = hp.KernelDensityClassifier(memory, k=K, searcher="faiss:Flat")
    found = explored_with(
        [classifier], paths=["m"], queries=None, queries_name=None, thumbnails=ThumbnailSettings(),
        images_root=None, results=None,
    )  # fmt: skip
    (one,) = file_document(found).document["memories"]
    assert (one["searcher"], one["certified"]) == ("faiss:Flat", False)


def test_too_few_matches_leave_empty_places(tmp_path):
    memory = memory_of_noise(tmp_path / "m", 2, grid=(1, 2), classes=["a", "b"])
    (one,) = document_of(memory, k=3)["memories"]
    queries = arrays(one["queries"])
    assert ((queries["ids"] == NO_MATCH).sum(2) == 1).all()
    assert (queries["ids"][..., 2] == NO_MATCH).all() and (queries["distance"][..., 2] == 0).all()


def test_maps_are_those_of_the_observations(tmp_path):
    memory = noisy(tmp_path / "m")
    maps = document_of(memory)["memories"][0]["maps"]
    result = hp.KernelDensityClassifier(memory, k=K).leave_one_out()
    where = observations.locations.measure(result.matches, valid=memory.valid())
    given = observations.conditional.measure(result.matches, seed=5, n_permutations=20)
    energy = observations.energy.measure(
        memory.energy(), memory.grid, image_class=memory.image_class, classes=memory.classes
    )
    expected = {
        "energy": energy.mean_map, "class_energy": energy.class_maps, "locations": where.all,
        "locations_same": where.same, "locations_other": where.other, "class_locations": where.class_same,
        "class_locations_other": where.class_other, "base": where.base,
    }  # fmt: skip
    for name, values in expected.items():
        found = decoded(maps[name])
        assert found.shape == (*values.shape[:-2], 6)
        np.testing.assert_array_equal(found.ravel(), values.ravel().astype(np.float32), err_msg=name)
    for name, part in (("same", given.same), ("other", given.other)):
        found = decoded(maps["conditional"][name])
        assert found.shape == (6, 6)
        np.testing.assert_array_equal(found, part.density.reshape(6, 6).astype(np.float32))
        base = decoded(maps["conditional"][f"{name}_base"])
        np.testing.assert_array_equal(base, getattr(where, name).ravel().astype(np.float32))
    assert (maps["n_images"], maps["n_same"], maps["n_other"]) == (7, where.n_same, where.n_other)
    assert decoded(maps["base"])[1] < 1 / 6  # a zero vector is there


def test_what_cannot_be_measured_has_no_map(tmp_path):
    pooled = memory_of_noise(tmp_path / "pooled", 4, grid=(1, 1), classes="ab")
    maps = document_of(pooled, k=2)["memories"][0]["maps"]
    assert [name for name, value in maps.items() if value is not None] == ["n_images"]
    unlabeled = memory_of_noise(tmp_path / "unlabeled", 4)
    one = document_of(unlabeled)["memories"][0]
    assert np.isnan(decoded(one["maps"]["conditional"]["same"])).all()
    assert decoded(one["queries"]["likelihood"]).shape == (4, 0)
    assert decoded(one["queries"]["predicted"]).tolist() == [-1] * 4


def test_memory_images_follow_the_queries_from_outside(drawn):
    memory = hp.open_memory(drawn / "a.memory")
    document = document_of(memory, queries=drawn / "others")
    (one,) = document["memories"]
    classifier = hp.KernelDensityClassifier(memory, k=K)
    asked, own = classifier.classify(drawn / "others"), classifier.leave_one_out()
    queries = arrays(one["queries"])
    matched = sorted(set(asked.matches.image.tolist()))
    assert one["n_asked"] == 6 and queries["memory_row"].tolist() == [-1] * 6 + matched
    for i in range(6):
        check_queries(one, queries, i, asked, i, memory)
    for i, row in enumerate(matched):
        check_queries(one, queries, 6 + i, own, own.rows.tolist().index(row), memory)
    np.testing.assert_allclose(page_likelihoods(one, queries)[:6], asked.likelihood, atol=1e-6)
    where = observations.locations.measure(asked.matches, valid=memory.valid())
    np.testing.assert_array_equal(decoded(one["maps"]["locations"]), where.all.ravel().astype(np.float32))
    assert one["queries"]["root"] == str(drawn / "others") and one["images"]["root"] == str(drawn / "images")
    assert document["title"] == "others in a.memory"


def test_energy_of_queries_from_outside_is_that_of_a_memory_of_them(drawn, tmp_path):
    found = document_of(hp.open_memory(drawn / "a.memory"), queries=drawn / "others")["memories"][0]
    built = hp.build_memory(
        tmp_path / "others.memory", drawn / "others", backbone="tests.tiny_network:tiny", layer="3"
    )
    np.testing.assert_array_equal(decoded(found["queries"]["energy"])[:6], built.energy().reshape(6, -1))


def test_every_image_that_is_shown_has_its_thumbnail(drawn, transform):
    memory = hp.open_memory(drawn / "a.memory")
    document = document_of(memory, queries=drawn / "others")
    (one,) = document["memories"]
    queries, of_memory = arrays(one["queries"]), decoded(one["images"]["thumbnail"])
    shown = np.unique(queries["ids"] // memory.grid.n_cells)
    assert (of_memory[shown] >= 0).all() and (queries["thumbnail"] >= 0).all()
    broken = memory.images.paths.index("blue/broken.png")
    assert of_memory[broken] == -1
    table = hp.images.from_folder(drawn / "others")
    settings = ThumbnailSettings(112, 75)
    for i in range(6):
        expected = thumbnail_bytes(hp.images.show_image(table, i), transform, settings)
        assert document["pictures"][queries["thumbnail"][i]] == encoded_bytes(expected)
    for i in range(6, len(queries["memory_row"])):
        assert queries["thumbnail"][i] == of_memory[queries["memory_row"][i]]
    row = int(shown[0])
    expected = thumbnail_bytes(hp.images.show_image(memory.images, row), transform, settings)
    assert document["pictures"][of_memory[row]] == encoded_bytes(expected)


def encoded_bytes(data):
    import base64

    return base64.b64encode(data).decode()


def opened(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def test_a_thumbnail_is_what_the_network_saw():
    """A wide image with red ends: the crop removes them; without a known crop they stay."""
    wide = Image.new("RGB", (400, 200), (255, 0, 0))
    wide.paste((0, 0, 255), (100, 0, 300, 200))
    crop = hp.images.Transform(resize=200, crop=200)
    seen = opened(thumbnail_bytes(wide, crop, ThumbnailSettings(64, 90)))
    assert seen.shape == (64, 64, 3) and (np.abs(seen - [0, 0, 255]) < 12).all()
    whole = opened(thumbnail_bytes(wide, None, ThumbnailSettings(64, 90)))
    assert whole.shape == (64, 128, 3) and whole[32, 5, 0] > 230
    small = Image.new("RGB", (30, 20), (0, 255, 0))
    assert opened(thumbnail_bytes(small, None, ThumbnailSettings(64, 90))).shape == (20, 30, 3)
    rng = np.random.default_rng(0)
    detailed = Image.fromarray(rng.integers(0, 255, (200, 200, 3), np.uint8))
    sizes = [len(thumbnail_bytes(detailed, None, ThumbnailSettings(100, quality))) for quality in (10, 90)]
    assert sizes[0] < sizes[1] / 2
    for size, quality in ((7, 75), (112, 0), (112, 101), (5000, 75)):
        with pytest.raises(InputError, match="choose"):
            ThumbnailSettings(size, quality)


def test_an_image_is_read_once_and_equal_thumbnails_are_held_once(drawn, tmp_path):
    shutil.copytree(drawn / "others", tmp_path / "twice")
    shutil.copy(tmp_path / "twice" / "blue" / "0.png", tmp_path / "twice" / "blue" / "copy.png")
    document = document_of(hp.open_memory(drawn / "a.memory"), queries=tmp_path / "twice")
    (one,) = document["memories"]
    asked = one["queries"]["paths"][:7]
    places = dict(zip(asked, decoded(one["queries"]["thumbnail"])[:7].tolist(), strict=True))
    assert places["blue/0.png"] == places["blue/copy.png"]
    assert len(set(document["pictures"])) == len(document["pictures"])


def test_missing_files_are_gray_with_one_warning(drawn, tmp_path):
    shutil.copytree(drawn, tmp_path / "here")
    memory = hp.build_memory(
        tmp_path / "m", tmp_path / "here" / "images", backbone="tests.tiny_network:tiny", layer="3"
    )
    (tmp_path / "here").rename(tmp_path / "there")
    with pytest.warns(HueprobeWarning, match=r"12 images could not .*--images-root") as warned:
        explorer = hp.explore(memory, k=K)
    assert len(warned) == 1 and len(explorer.missing) == 12 and explorer.n_thumbnails == 0
    found = hp.explore(memory, k=K, images_root=tmp_path / "there" / "images")
    assert found.missing == () and found.n_thumbnails == 12


def test_a_sample_is_stated_and_leaves_room_for_what_is_matched_most(drawn):
    memory = hp.open_memory(drawn / "a.memory")
    (one,) = document_of(memory, max_images=5)["memories"]
    rows = decoded(one["queries"]["memory_row"]).tolist()
    assert one["sample"] == {"n": 5, "of": 12, "seed": 0} and len(rows) == 5 == one["n_asked"]
    result = hp.KernelDensityClassifier(memory, k=K).leave_one_out()
    for i, row in enumerate(rows):
        check_queries(one, arrays(one["queries"]), i, result, result.rows.tolist().index(row), memory)
    (one,) = document_of(memory, queries=drawn / "others", max_images=8)["memories"]
    asked = hp.KernelDensityClassifier(memory, k=K).classify(drawn / "others")
    times = np.bincount(asked.matches.image, minlength=memory.n_images)
    added = decoded(one["queries"]["memory_row"])[6:].tolist()
    assert one["sample"] is None and len(added) == 2
    assert sorted(times[added].tolist()) == sorted(times.tolist())[-2:]


def test_two_memories_have_the_same_queries_in_the_same_order(drawn):
    a, b = hp.open_memory(drawn / "a.memory"), hp.open_memory(drawn / "b.memory")
    for queries in (None, drawn / "others"):
        document = document_of(a, b, queries=queries)
        first, second = (arrays(one["queries"]) for one in document["memories"])
        for name in ("paths", "class_names"):
            assert first[name] == second[name]
        np.testing.assert_array_equal(first["memory_row"], second["memory_row"])
        assert not np.array_equal(first["distance"], second["distance"])
    result = hp.KernelDensityClassifier(b, k=K).classify(drawn / "others")
    for i in range(6):
        check_queries(document["memories"][1], second, i, result, i, b)
    assert document["title"] == "others in a.memory and b.memory"


def test_memories_of_different_images_need_queries(drawn, tmp_path):
    a, other = hp.open_memory(drawn / "a.memory"), memory_of_noise(tmp_path / "m", 12, grid=(6, 6))
    with pytest.raises(InputError, match="does not hold the images"):
        exploration([a, other])
    with pytest.raises(InputError, match="match themselves without exclusion"):
        exploration([a], exclude=None)
    with pytest.raises(InputError, match="no readable image"):
        exploration([a], queries=hp.images.from_folder(drawn / "others").select([]))
    third = hp.build_memory(
        tmp_path / "third", drawn / "others", backbone="tests.tiny_network:tiny", layer="3"
    )
    with pytest.warns(HueprobeWarning, match="6 of the query images are in the memory too"):
        document = document_of(a, third, queries=drawn / "others")
    assert [decoded(one["queries"]["memory_row"]).tolist() for one in document["memories"]] == [[-1] * 6] * 2


def test_without_exclusion_no_memory_image_is_left_out(drawn):
    (one,) = document_of(hp.open_memory(drawn / "a.memory"), queries=drawn / "others", exclude=None)[
        "memories"
    ]
    assert decoded(one["queries"]["memory_row"]).tolist() == [-1] * 6 and one["exclude"] == "none"


def test_unreadable_queries_are_named(drawn, tmp_path):
    shutil.copytree(drawn / "others", tmp_path / "some")
    (tmp_path / "some" / "blue" / "1.png").write_bytes(b"none")
    explorer = hp.explore(drawn / "a.memory", tmp_path / "some", k=K)
    assert [path for path, _ in explorer.skipped] == ["blue/1.png"] and explorer.n_queries == 5
    shutil.rmtree(tmp_path / "some")
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "1.png").write_bytes(b"none")
    with pytest.raises(InputError, match="none of 1 images could be read"):
        hp.explore(drawn / "a.memory", tmp_path / "some", k=K)


def test_verdicts_are_those_of_the_file(tmp_path):
    memory = noisy(tmp_path / "m")
    found = observations.energy.measure(memory.energy(), memory.grid).claims(memory="m")
    text = observations.verdicts.verdicts_json(found)
    (tmp_path / "verdicts.json").write_text(text)
    document = document_of(memory, results=tmp_path)
    assert len(document["verdicts"]) == 2
    for record, verdict in zip(document["verdicts"], found, strict=True):
        expected = verdict.to_json()
        definitions = expected.pop("definitions")
        assert record == {**expected, "effect_name": definitions["effect"]}
    for content in (None, b"\xff", b"[]"):
        (tmp_path / "verdicts.json").unlink()
        if content is not None:
            (tmp_path / "verdicts.json").write_bytes(content)
        with pytest.raises(InputError, match=r"hueprobe observe"):
            verdicts_of(tmp_path)
        (tmp_path / "verdicts.json").touch()


def test_a_servers_page_holds_no_matches(drawn, tmp_path):
    memory = hp.open_memory(drawn / "a.memory")
    document = server_document(exploration([memory], queries=drawn / "table.csv"))
    (one,) = document["memories"]
    assert document["mode"] == "server" and "pictures" not in document
    known = [name for name, value in one["maps"].items() if value is not None]
    assert known == ["base"]
    np.testing.assert_array_equal(decoded(one["maps"]["base"]), np.full(36, np.float32(1 / 36)))
    assert set(one["queries"]) == {"paths", "class", "class_names", "memory_row", "root"}
    assert decoded(one["queries"]["class"]).tolist() == [0, 0, 1, 1, -1, -1]
    assert one["queries"]["class_names"][-1] == '</script><b>&"'
    (own,) = server_document(exploration([memory]))["memories"]
    rows = decoded(own["queries"]["memory_row"]).tolist()
    assert len(rows) == 12 and memory.images.paths.index("blue/broken.png") not in rows
    assert own["queries"]["paths"] == [memory.images.paths[row] for row in rows]
    assert decoded(own["queries"]["class"]).tolist() == [memory.image_class[row] for row in rows]
    (of_file,) = document_of(memory)["memories"]
    for name in ("base", "energy", "class_energy", "n_images"):
        assert own["maps"][name] == of_file["maps"][name]
    assert own["maps"]["locations"] is None and own["maps"]["conditional"] is None
    pooled = memory_of_noise(tmp_path / "pooled", 4, grid=(1, 1), classes="ab")
    assert set(server_document(exploration([pooled], k=2))["memories"][0]["maps"].values()) == {None}


def test_arrays_keep_their_values_and_refuse_what_does_not_fit():
    for dtype in DTYPES:
        values = np.array([[0, 1, 2], [3, 4, 250]])
        record = encoded(values, dtype)
        found = decoded(record)
        assert found.dtype == dtype and record["shape"] == [2, 3]
        np.testing.assert_array_equal(found, values)
    assert encoded([1], "uint32")["data"] == "AQAAAA=="  # little-endian
    assert decoded(encoded(np.zeros((0, 3)), "float32")).shape == (0, 3)
    assert np.isnan(decoded(encoded([np.nan], "float32"))[0])
    for value, dtype in ((-1, "uint32"), (2**32, "uint32"), (2**31, "int32"), (256, "uint8")):
        with pytest.raises(OverflowError, match=dtype):
            encoded([value], dtype)


def test_float32_distances_give_weights_within_a_millionth():
    """The page computes Eq. (3) from float32 distances, also of near duplicates."""
    rng = np.random.default_rng(0)
    for scale in (1e-5, 1e-3, 0.1, 1.0):
        distances = np.sort(rng.random((500, 10)) * scale, axis=1)
        rounded = kernel_weights(distances.astype(np.float32))
        np.testing.assert_allclose(rounded, kernel_weights(distances), atol=3e-7)
