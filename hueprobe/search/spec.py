"""SPEC: a string that names a searcher and its settings."""

import re
from dataclasses import dataclass

from hueprobe.errors import SearcherError

DEFAULT_TREES = 10
_ANNOY_SETTINGS = {"trees": "build", "search_k": "search"}
_FACTORY = re.compile(
    r"[A-Za-z0-9,()_\[\]+=.-]{1,80}"
)  # plain characters and a limited length, for the name of a folder
# Settings of FAISS's own, and two of ours: candidates that are ranked exactly, and lists read from disk.
_FAISS_SETTINGS = {
    "train": "build", "nprobe": "search", "efSearch": "search", "k_factor": "search",
    "k_factor_rf": "search", "quantizer_efSearch": "search", "max_codes": "search",
    "rerank": "search", "ondisk": "search",
}  # fmt: skip
RECALL_K = 10  # of the recall that is measured for every approximate index


@dataclass(frozen=True)
class SearcherSpec:
    """A parsed SPEC: a searcher and its settings.

    Attributes
    ----------
    kind : {"exact", "annoy", "faiss"}
        Kind of searcher.
    build : str
        Settings of the index in canonical form: `trees=10`, or FAISS's factory string, with `;train=100000`
        behind it if the size of the training sample was given.
    search : dict of str to int
        Settings of the search only; they are not part of the index's name.

    See Also
    --------
    hueprobe.search.parse_spec : Make one of a string.

    Examples
    --------
    >>> hp.search.parse_spec("annoy")
    SearcherSpec(kind='annoy', build='trees=10', search={})
    """

    kind: str
    build: str
    search: dict[str, int]

    @property
    def needs_index(self) -> bool:
        """Whether an index has to be built; exact search needs none."""
        return self.kind != "exact"

    @property
    def index(self) -> str:
        """Name of the index and of its folder: settings of the index, not of the search."""
        return f"{self.kind}:{self.build}"

    @property
    def text(self) -> str:
        """The SPEC in canonical form."""
        if not self.needs_index:
            return self.kind
        settings = [f"{name}={value}" for name, value in self.search.items()]
        if self.kind == "annoy":
            return "annoy:" + ",".join([self.build, *settings])
        factory, _, build = self.build.partition(";")
        return "faiss:" + ";".join([factory, ",".join([build, *settings] if build else settings)]).rstrip(";")

    @property
    def search_text(self) -> str:
        """Settings of the search in canonical form; `default` if there are none.

        Without `ondisk`, on which no result depends.
        """
        settings = [f"{name}={value}" for name, value in self.search.items() if name != "ondisk"]
        return ",".join(settings) or "default"

    @property
    def trees(self) -> int:
        """Annoy's number of trees."""
        return int(self.build.removeprefix("trees="))

    @property
    def factory(self) -> str:
        """FAISS's factory string."""
        return self.build.partition(";")[0]

    @property
    def train(self) -> int | None:
        """Number of vectors that FAISS trains with; None if it was not given."""
        _, _, settings = self.build.partition(";")
        return int(settings.removeprefix("train=")) if settings else None

    @property
    def rerank(self) -> int | None:
        """Number of candidates that are ranked by exact distance; None if it was not given."""
        return self.search.get("rerank")

    @property
    def on_disk(self) -> bool:
        """Whether the inverted lists stay on disk."""
        return "ondisk" in self.search


EXACT = SearcherSpec("exact", "", {})


def parse_spec(spec: str | SearcherSpec) -> SearcherSpec:
    """Parse `exact`, `annoy[:trees=50,search_k=20000]` or `faiss:FACTORY[;nprobe=16,rerank=100]`.

    Parameters
    ----------
    spec : str or SearcherSpec
        The SPEC; a `SearcherSpec` is returned unchanged. Settings of FAISS, all of the search but `train`:
        `nprobe`, `max_codes`, `efSearch`, `quantizer_efSearch`, `k_factor` and `k_factor_rf` are FAISS's
        own; `rerank=R` fetches R candidates and ranks them by exact distance; `ondisk=1` leaves inverted
        lists on disk; `train=N` is the number of vectors in the training sample.

    Returns
    -------
    SearcherSpec

    Raises
    ------
    SearcherError
        The searcher or a setting is unknown, or a value is not a positive whole number, or not possible.

    See Also
    --------
    hueprobe.open_searcher : Open the searcher of a SPEC.

    Examples
    --------
    >>> parse_spec("annoy:trees=50,search_k=20000").text
    'annoy:trees=50,search_k=20000'
    >>> parse_spec("faiss:IVF64,Flat;nprobe=8").search
    {'nprobe': 8}
    >>> parse_spec("faiss:IVF64,PQ8;train=5000,rerank=100").index  # the search is no part of the index
    'faiss:IVF64,PQ8;train=5000'
    """
    if isinstance(spec, SearcherSpec):
        return spec
    kind, _, rest = spec.partition(":")
    if kind == "exact" and not rest:
        return EXACT
    if kind == "annoy":
        settings = _settings(spec, rest, tuple(_ANNOY_SETTINGS))
        trees = settings.pop("trees", DEFAULT_TREES)
        return SearcherSpec("annoy", f"trees={trees}", settings)
    if kind == "faiss" and rest:
        factory, _, settings_text = rest.partition(";")
        if not _FACTORY.fullmatch(factory):
            raise SearcherError(
                f"{spec!r} has no valid FAISS factory string: 1 to 80 letters, digits and ,()_[]+-=. "
                "are allowed; try faiss:Flat or faiss:HNSW32"
            )
        settings = _settings(spec, settings_text, tuple(_FAISS_SETTINGS))
        if settings.get("rerank", RECALL_K) < RECALL_K:
            raise SearcherError(
                f"rerank in {spec!r} is the number of candidates to rank exactly, at least {RECALL_K} "
                f"because recall@{RECALL_K} is measured with it; got {settings['rerank']}"
            )
        if settings.get("ondisk", 1) != 1:
            raise SearcherError(
                f"ondisk in {spec!r} can only be 1, got {settings['ondisk']}; leave it out to read the lists "
                "into RAM"
            )
        train = f";train={settings.pop('train')}" if "train" in settings else ""
        return SearcherSpec("faiss", factory + train, settings)
    raise SearcherError(
        f"unknown searcher {spec!r}; choose exact, annoy, annoy:trees=50,search_k=20000, faiss:FACTORY "
        "or faiss:IVF1024,Flat;nprobe=16"
    )


def _settings(spec: str, text: str, allowed: tuple[str, ...]) -> dict[str, int]:
    settings: dict[str, int] = {}
    for part in text.split(",") if text else []:
        name, _, value = part.partition("=")
        if name not in allowed:
            raise SearcherError(f"unknown setting {name!r} in {spec!r}; allowed: {', '.join(allowed)}")
        if not re.fullmatch(r"[1-9][0-9]{0,8}", value):
            raise SearcherError(f"{name} in {spec!r} must be a positive whole number, got {value!r}")
        settings[name] = int(value)
    return dict(sorted(settings.items()))
