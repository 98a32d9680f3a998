"""Which images a query may not match, against loops over all images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hueprobe as hp
from hueprobe.exclusion import Exclusion
from tests.small_memories import noise

LETTERS = st.sampled_from(["", "a", "b", "c"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("exclusion")


@given(
    rows=st.lists(
        st.tuples(st.sampled_from([*"xyz", None]), LETTERS | st.none(), LETTERS), min_size=1, max_size=9
    ),
    rule=st.sampled_from(["image", "group", "none"]),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_the_rows_are_those_of_a_loop(folder, rows, rule, data):
    classes, groups, hashes = zip(*rows, strict=True)
    n = len(rows)
    memory = hp.memory_from_arrays(
        folder / "m", noise(n, grid=(1, 1)), classes, groups=groups, hashes=hashes, overwrite=True
    )
    used = sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1)))
    exclusion = Exclusion(memory, rule, images=None if len(used) == n else used)

    def barred(sha256, group):
        same = [row for row in used if sha256 and hashes[row] == sha256]
        if rule == "group" and group is not None:
            same += [row for row in used if groups[row] == group]
        return set() if rule == "none" else set(same)

    for sha256 in ("", "a", "b", "unknown", None):
        assert exclusion.knows(sha256) == (bool(sha256) and sha256 in {hashes[row] for row in used})
        for group in ("", "a", "b", "unknown", None):
            found = exclusion.of(sha256, group)
            assert found.dtype == np.int64 and found.tolist() == sorted(barred(sha256, group))
    lone = []
    for row in range(n):
        own = barred(hashes[row], groups[row]) | ({row} if rule != "none" else set())
        assert exclusion.of_row(row).tolist() == sorted(own)
        others = [other for other in used if classes[other] == classes[row] and other not in own]
        lone.append(row in used and classes[row] is not None and not others)
    assert exclusion.lone().tolist() == lone


@given(st.lists(st.integers(0, 99), max_size=40))
@settings(deadline=None)
def test_stored_rows_of_many_shards_come_in_the_order_asked(many_shards, ids):
    memory, whole = many_shards
    assert np.array_equal(memory.raw(ids), whole[ids])


@pytest.fixture(scope="module")
def many_shards(folder):
    values = noise(100, grid=(1, 1))
    memory = hp.memory_from_arrays(folder / "shards", values, shard_images=32)
    assert len(memory.shards) == 4
    return memory, np.concatenate([shard.vectors.reshape(-1, memory.n_channels) for shard in memory.shards])
