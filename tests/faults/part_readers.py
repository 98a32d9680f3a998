"""Bad files of searched parts and bad merged tables, for the fuzzer of `readers.py`."""

import json

import numpy as np
import pyarrow as pa

from hueprobe import merge_matches, search_part
from hueprobe.match_files import PART_KEY
from hueprobe.match_reading import IMAGES_KEY
from hueprobe.scale import SearchedPart, classify_matches
from hueprobe.scale.search_facts import KEY
from hueprobe.scale.search_files import PartBatch
from hueprobe.scale.search_records import BATCH_KEY
from hueprobe.search import Neighbors
from tests.faults import mutations
from tests.small_memories import memory_of_noise


class SearchedParts:
    """Two parts of a search and their merged table; each trial makes one of them bad and reads it."""

    def __init__(self, folder):
        self._folder = folder
        memory = memory_of_noise(folder / "m", 40, grid=(2, 2), classes="ab", shard_images=32)
        self._parts = [folder / f"{number}.arrow" for number in (1, 2)]
        for number, path in enumerate(self._parts, start=1):
            search_part(path, memory, part=f"{number}/2", k=2)
        merge_matches(self._parts, folder / "m.arrow")
        self._bad = folder / "bad.arrow"
        # Its image tables are the ones that are read.
        with pa.ipc.open_file(self._parts[0]) as file:
            self._schema = file.schema
            self._batches = [
                file.get_batch_with_custom_metadata(number) for number in range(file.num_record_batches)
            ]
        with pa.ipc.open_file(folder / "m.arrow") as file:
            self._table = file.read_all()

    def read(self):
        SearchedPart.load(self._bad)
        merge_matches([self._parts[1], self._bad], self._folder / "merged.arrow")
        classify_matches(self._folder / "merged.arrow")

    def file(self, rng):
        self._bad.write_bytes(mutations.mutated(rng, self._parts[0].read_bytes()))
        self.read()

    def write(self, schema, batches):
        with pa.OSFile(str(self._bad), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            for rows, metadata in batches:
                writer.write_batch(rows.cast(schema), custom_metadata=metadata)
        self.read()

    def header(self, rng):
        header = mutations.mutated_document(rng, json.loads(self._schema.metadata[PART_KEY]))
        schema = self._schema.with_metadata({PART_KEY: json.dumps(header).encode()})
        self.write(schema, self._batches)

    def facts(self, rng):
        rows, facts = self._batches[1]
        document = mutations.mutated_document(rng, json.loads(dict(facts)[BATCH_KEY]))
        self.write(self._schema, [self._batches[0], (rows, {BATCH_KEY: json.dumps(document)})])

    def images(self, rng):
        (empty, metadata), batch = self._batches
        document = mutations.mutated_document(rng, json.loads(dict(metadata)[IMAGES_KEY]))
        self.write(self._schema, [(empty, {IMAGES_KEY: json.dumps(document)}), batch])

    def rows(self, rng):
        """Numbers that a search does not write, with a hash that fits."""
        rows, facts = self._batches[1]
        columns = {name: rows.column(name).to_numpy(zero_copy_only=False) for name in rows.schema.names}
        lists = [np.stack(columns[name]) for name in ("ids", "distances")]
        arrays = [np.array(columns["query_image"]), np.array(columns["query_cell"]), *map(np.array, lists)]
        for _ in range(int(rng.integers(1, 4))):
            array = arrays[rng.integers(4)].reshape(-1)
            values = [-2, -1, 0, 1, 2**31 - 1] if array.dtype.kind == "i" else [-1.0, np.nan, np.inf, 1e300]
            array[rng.integers(len(array))] = rng.choice(values)
        batch = PartBatch(arrays[0], arrays[1], Neighbors(arrays[2], arrays[3]))
        document = {**json.loads(dict(facts)[BATCH_KEY]), "sha256": batch.sha256()}
        made = pa.RecordBatch.from_arrays(
            [
                pa.array(arrays[0]), pa.array(arrays[1]),
                pa.FixedSizeListArray.from_arrays(pa.array(arrays[2].reshape(-1)), 2),
                pa.FixedSizeListArray.from_arrays(pa.array(arrays[3].reshape(-1)), 2),
            ],
            schema=self._schema,
        )  # fmt: skip
        self.write(self._schema, [self._batches[0], (made, {BATCH_KEY: json.dumps(document)})])

    def merged(self, rng):
        metadata = dict(self._table.schema.metadata)
        key = [KEY, IMAGES_KEY][rng.integers(2)]
        metadata[key] = json.dumps(mutations.mutated_document(rng, json.loads(metadata[key]))).encode()
        table = self._table.replace_schema_metadata(metadata)
        with pa.OSFile(str(self._bad), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        classify_matches(self._bad)


READERS = {
    "searched part, bytes": (SearchedParts, "file", 60, 3_000),
    "searched part, header": (SearchedParts, "header", 40, 2_000),
    "searched part, facts of a batch": (SearchedParts, "facts", 40, 2_000),
    "searched part, image tables": (SearchedParts, "images", 40, 2_000),
    "searched part, rows with a hash that fits": (SearchedParts, "rows", 40, 2_000),
    "merged matches, metadata": (SearchedParts, "merged", 60, 3_000),
}
