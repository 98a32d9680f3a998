"""LayeredClassifier: the same images classified by the memories of several layers, from one forward pass."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from hueprobe import density
from hueprobe.classification import Classification
from hueprobe.classifier import KernelDensityClassifier, warn_of_duplicates
from hueprobe.errors import InputError
from hueprobe.memory.store import Memory
from hueprobe.query_source import QuerySource
from hueprobe.search import SearcherSpec
from hueprobe.search.several import shared_budgets


class LayeredClassifier:
    """Classifier by several memories of the same images, at several layers of one network.

    Each image runs through the network once, and is classified by each memory as by
    `KernelDensityClassifier`. The results are the layers of conformal p-values.

    Parameters
    ----------
    memories : sequence of Memory
        Memories of the same list of images, as `build_memories` builds them.
    k : int, default=10
        Number of neighbors of each query pixel, in each memory.
    searcher : str or SearcherSpec, default="exact"
        A SPEC, for each memory.
    exclude : {"image", "group", None}, default="image"
        What a query may not match; see `KernelDensityClassifier`.
    eps : float, default=1e-6
        Epsilon of Eq. (3), a squared distance.
    images : array_like of int or of bool, optional
        Use only these rows of the memories. By default all rows are used.
    backbone : nn.Module, optional
        The live module, if the memories were built with one. By default the recorded network is loaded.
    transform : callable, optional
        The transform, if the memories were built with a custom one. By default the recorded one is used.
    weights : path, optional
        Where the recorded weights file is now. By default its recorded path is used.
    device : str, default="auto"
        Where the network and exact search run.
    workers : int, optional
        Number of threads that decode images. By default one per core, at most 16.
    memory_budget : int, optional
        Bytes of vectors that exact search of all memories together may keep in RAM.
    index_dir : path, optional
        Where indexes are kept; see `open_searcher`.
    progress : bool, default=False
        Whether to show progress of index building and classification.

    Attributes
    ----------
    classifiers : tuple of KernelDensityClassifier
        The classifier of each memory.

    Raises
    ------
    InputError
        There is no memory, or they are of other networks, of the same layer, or of other images.

    See Also
    --------
    hueprobe.build_memories : Fills the memories of several layers.
    hueprobe.trust.conformal_predictions : Adds layers to one p-value.

    Examples
    --------
    >>> layers = {"backbone": network, "transform": transform}
    >>> memories = hp.build_memories("layers.memory", "images", layers=["1", "3"], **layers)
    >>> classifier = hp.LayeredClassifier(memories, k=5, **layers)
    >>> [result.predicted_class[0] for result in classifier.classify("others")]
    ['circle', 'circle']
    """

    def __init__(
        self,
        memories: Sequence[Memory],
        *,
        k: int = 10,
        searcher: str | SearcherSpec = "exact",
        exclude: str | None = "image",
        eps: float = density.DEFAULT_EPS,
        images: Any = None,
        backbone: Any = None,
        transform: Any = None,
        weights: Any = None,
        device: str = "auto",
        workers: int | None = None,
        memory_budget: int | None = None,
        index_dir: Any = None,
        progress: bool = False,
    ) -> None:
        if not memories:
            raise InputError("there is no memory to classify by; give at least one")
        shared: dict[str, Any] = {
            "exclude": exclude, "images": images, "backbone": backbone, "transform": transform,
            "weights": weights, "device": device, "workers": workers, "progress": progress,
        }  # fmt: skip
        self._source = QuerySource(memories[0], others=memories[1:], **shared)
        budgets = shared_budgets(memories, searcher, device=device, memory_budget=memory_budget)
        self.classifiers = tuple(
            KernelDensityClassifier(
                memory, k=k, searcher=searcher, eps=eps, memory_budget=budget, index_dir=index_dir, **shared
            )
            for memory, budget in zip(memories, budgets, strict=True)
        )

    def classify(self, images: Any) -> list[Classification]:
        """Classify images by each memory; match tables are not kept.

        Parameters
        ----------
        images : path, ImageTable, torch Dataset or list of files
            Query images, in any form that `build_memory` takes.

        Returns
        -------
        list of Classification
            One for each memory, in their order. The seconds of the forward pass count for the first.

        Warns
        -----
        HueprobeWarning
            An image is also in the memories; unless `exclude` is None, it may not match itself.

        See Also
        --------
        hueprobe.trust.conformal_predictions : Takes such lists.

        Examples
        --------
        >>> layers = {"backbone": network, "transform": transform}
        >>> memories = hp.build_memories("layers.memory", "images", layers=["1", "3"], **layers)
        >>> len(hp.LayeredClassifier(memories, k=5, **layers).classify("others"))
        2
        """
        parts = [
            tuple(replace(part, matches=None) for part in of_layers)
            for of_layers in self.classify_batches(images)
        ]
        results = [Classification.concatenate(of_layer) for of_layer in zip(*parts, strict=True)]
        if not results:
            raise InputError("there are no images to classify; give at least one")
        warn_of_duplicates(results[0].duplicates, self._source.exclude)
        return results

    def classify_batches(self, images: Any) -> Iterator[tuple[Classification, ...]]:
        """Classify images batch by batch, so that only one batch is held in RAM.

        Parameters
        ----------
        images : path, ImageTable, torch Dataset or list of files
            Query images, in any form that `build_memory` takes.

        Yields
        ------
        tuple of Classification
            One batch, with the match table of each memory.

        Examples
        --------
        >>> layers = {"backbone": network, "transform": transform}
        >>> memories = hp.build_memories("layers.memory", "images", layers=["1", "3"], **layers)
        >>> for parts in hp.LayeredClassifier(memories, k=5, **layers).classify_batches("others"):
        ...     print([(len(part), part.matches.grid.shape) for part in parts])
        [(6, (15, 15)), (6, (7, 7))]
        """
        for of_layers in self._source.of_layers(images):
            first, *others = of_layers
            queries = (first, *(replace(other, seconds=0.0) for other in others))
            yield tuple(
                classifier.classify_queries(one)
                for classifier, one in zip(self.classifiers, queries, strict=True)
            )
