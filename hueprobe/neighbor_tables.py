"""Nearest neighbors as a table for other tools: Embedding Atlas' `neighbors`, FiftyOne's label fields.

Embedding Atlas reads from each row of its `--neighbors` column `{"ids": [...], "distances": [...]}`, where
ids are zero-based numbers of rows of the same table. FiftyOne's `Classification` has the fields `label` and
`confidence`, and its samples the field `filepath`.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hueprobe.classification import Classification
from hueprobe.errors import InputError
from hueprobe.files import written_whole
from hueprobe.images.table import ImageTable
from hueprobe.matches import Matches

if TYPE_CHECKING:
    import pyarrow as pa


class NeighborTable:
    """Nearest memory images of classified images, gathered batch by batch.

    The table has one row per image. In leave-one-out these are the memory's own images, in its order.
    Otherwise the memory's images come first, with empty lists of neighbors and without predictions, and then
    the classified images, because ids are numbers of rows of the same table.

    An image's neighbors are the memory images that its cells match. They are ordered by the share of the
    kernel weights, Eq. (3), that goes to them; their distance is 1 less that share, from 0 (all of it) to 1.

    Parameters
    ----------
    batches : iterable of Classification, default=()
        Batches of one run with their match tables, in order; more can be added.

    Raises
    ------
    InputError
        There is no batch, or one has no match table or no sources.

    See Also
    --------
    hueprobe.Matches : Neighbors of each cell instead of each image.

    Examples
    --------
    >>> table = hp.NeighborTable([result]).to_arrow()
    >>> table.num_rows, table.column_names
    (12, ['image', 'filepath', 'split', 'ground_truth', 'prediction', 'neighbors'])
    >>> table["prediction"][0].as_py()["label"] == result.predicted_class[0]
    True
    """

    def __init__(self, batches: Iterable[Classification] = ()) -> None:
        self._parts: list[Classification] = []
        self._neighbors: dict[int, tuple[list[int], list[float]]] = {}
        for batch in batches:
            self.add(batch)

    def add(self, batch: Classification) -> None:
        """Add the images of one batch; its match table is not kept.

        Parameters
        ----------
        batch : Classification
            A batch with its match table.

        Examples
        --------
        >>> table = hp.NeighborTable()
        >>> for batch in hp.KernelDensityClassifier(memory, k=5).leave_one_out_batches():
        ...     table.add(batch)
        >>> len(table.to_arrow())
        12
        """
        if batch.matches is None or batch.sources is None:
            raise InputError(
                "this classification has no match table or was loaded from a file, so its neighbors are "
                "unknown; classify the images again with keep_matches=True"
            )
        self._neighbors |= _of_images(batch.matches)
        self._parts.append(replace(batch, matches=None))

    def to_arrow(self) -> "pa.Table":
        """Return the table.

        Returns
        -------
        pyarrow.Table
            Columns `image`, `filepath` (absolute; null for what is no file), `split`, `ground_truth` (struct
            of `label`), `prediction` (struct of `label` and `confidence`, the normalized likelihood) and
            `neighbors` (struct of `ids` and `distances`). A missing class or prediction is null.

        Raises
        ------
        InputError
            There is no batch.

        Examples
        --------
        >>> first = hp.NeighborTable([result]).to_arrow()["neighbors"][0].as_py()
        >>> first["ids"][:3], [round(value, 2) for value in first["distances"][:3]]
        ([9, 10, 11], [0.19, 0.96, 0.96])
        """
        import pyarrow as pa

        joined = Classification.concatenate(self._parts)
        if joined.sources is None:
            raise AssertionError("batches without sources are refused")
        queries, memory = joined.sources.queries, joined.sources.memory
        own = queries is memory.images
        tables = [memory.images] if own else [memory.images, queries]
        start = 0 if own else len(memory.images)
        n = sum(len(table) for table in tables)
        predictions: list[dict[str, object] | None] = [None] * n
        neighbors: list[dict[str, object]] = [{"ids": [], "distances": []} for _ in range(n)]
        for i, row in enumerate(joined.rows.tolist()):
            if joined.predicted[i] >= 0:
                confidence = float(joined.likelihood[i, joined.predicted[i]])
                predictions[start + row] = {"label": joined.predicted_class[i], "confidence": confidence}
            ids, distances = self._neighbors.get(row, ([], []))
            neighbors[start + row] = {"ids": ids, "distances": distances}
        label = pa.struct([("label", pa.string())])
        found = pa.struct([("label", pa.string()), ("confidence", pa.float64())])
        lists = pa.struct([("ids", pa.list_(pa.int64())), ("distances", pa.list_(pa.float64()))])
        classes = [None if name is None else {"label": name} for table in tables for name in table.classes]
        return pa.table(
            {
                "image": pa.array([path for table in tables for path in table.paths], pa.string()),
                "filepath": pa.array([path for table in tables for path in _files(table)], pa.string()),
                "split": pa.array([name for table in tables for name in table.splits], pa.string()),
                "ground_truth": pa.array(classes, label),
                "prediction": pa.array(predictions, found),
                "neighbors": pa.array(neighbors, lists),
            }
        )

    def save(self, path: str | Path) -> None:
        """Write the table to a Parquet file, completely or not at all.

        Parameters
        ----------
        path : path
            File to write; its extension is .parquet.

        Raises
        ------
        InputError
            The extension is another, or there is no batch.

        Examples
        --------
        >>> hp.NeighborTable([result]).save("neighbors.parquet")
        >>> import pyarrow.parquet as pq
        >>> pq.read_table("neighbors.parquet").num_rows
        12
        """
        import pyarrow.parquet as pq

        path = Path(path)
        if path.suffix.lower() != ".parquet":
            raise InputError(f"cannot save neighbors as {path.name!r}; use the extension .parquet")
        table = self.to_arrow()
        with written_whole(path) as file:
            pq.write_table(table, file)


def _of_images(matches: Matches) -> dict[int, tuple[list[int], list[float]]]:
    """Return ids and distances of the neighbors of each query image, the nearest first."""
    n = len(matches.image_paths)
    pair, inverse = np.unique(matches.query_image * n + matches.image, return_inverse=True)
    weight = np.bincount(inverse, matches.weight, len(pair))
    query, image = pair // n, pair % n
    total = np.bincount(query, weight, len(matches.query_paths))[query]
    distance = 1 - np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
    order = np.lexsort((image, distance, query))
    query, image, distance = query[order], image[order], distance[order]
    starts = np.flatnonzero(np.diff(query, prepend=-1))
    return {
        int(query[start]): (image[start:stop].tolist(), distance[start:stop].tolist())
        for start, stop in zip(starts, [*starts[1:], len(query)], strict=True)
    }


def _files(table: ImageTable) -> Iterable[str | None]:
    return (
        str(Path(root) / path) if root else None for root, path in zip(table.roots, table.paths, strict=True)
    )
