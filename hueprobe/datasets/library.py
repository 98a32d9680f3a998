"""Names of the shipped manifests, and reading one by its name or from a file."""

import os
import tomllib
from importlib import resources
from pathlib import Path

from hueprobe.datasets.manifest import Manifest
from hueprobe.datasets.parsing import parse_manifest
from hueprobe.errors import ManifestError, nearest_names

ENDING = ".toml"
_PACKAGE = "hueprobe.data_manifests"
_LARGEST = 64 << 20  # bytes; a manifest with a checksum for each of 500,000 images is smaller


def manifest_names() -> list[str]:
    """Return the names of the manifests that come with hueprobe, sorted.

    Returns
    -------
    list of str
        Names for `load_manifest`, without variants.

    Examples
    --------
    >>> [name for name in manifest_names() if name.startswith("cifar")]
    ['cifar10', 'cifar100']
    """
    return sorted(path.stem for path in _folder().glob(f"*{ENDING}"))


def is_manifest(spec: str) -> bool:
    """Whether `spec` names a shipped manifest or has a manifest's ending; a variant may follow."""
    name, _, _ = spec.partition(":")
    return name in manifest_names() or spec.endswith(ENDING) or f"{ENDING}:" in spec


def load_manifest(spec: str | os.PathLike[str]) -> Manifest:
    """Read a data manifest by its name or from a file.

    Parameters
    ----------
    spec : str or path
        `"dtd"`, `"dtd:2"` (a variant), or a TOML file, `"mine.toml"` or `"mine.toml:variant"`.

    Returns
    -------
    Manifest
        The manifest.

    Raises
    ------
    ManifestError
        If there is no such manifest, or if it is invalid; reports file, key and allowed values.

    See Also
    --------
    hueprobe.datasets.manifest_names : List the manifests that come with hueprobe.
    hueprobe.datasets.draft_manifest : Draft a manifest for your own images.

    Examples
    --------
    >>> manifest = load_manifest("dtd")
    >>> manifest.counts.images, manifest.counts.classes, manifest.variants[:2]
    (5640, 47, ('2', '3'))
    """
    text = os.fspath(spec)
    if text.endswith(ENDING):
        name, variant = text, ""
    else:  # a file's name may contain colons; only the part after the last can be a variant
        name, _, variant = text.rpartition(":") if f"{ENDING}:" in text else text.partition(":")
    shipped = not name.endswith(ENDING)
    path = _folder() / f"{name}{ENDING}" if shipped else Path(name)
    if shipped and name not in manifest_names():
        near = nearest_names(name, manifest_names(), n=3)
        raise ManifestError(
            f"no data manifest {name!r}; nearest names: {', '.join(map(repr, near))}; "
            "`hueprobe data list` shows all; a .toml file is accepted too"
        )
    return parse_manifest(
        _document(path),
        name=path.stem,
        file=path.name if shipped else str(path),
        shipped=shipped,
        variant=variant or None,
    )


def _folder() -> Path:
    """Return the folder of shipped manifests, either installed or in a checkout beside the package."""
    try:
        return Path(str(resources.files(_PACKAGE)))
    except ModuleNotFoundError:
        return Path(__file__).resolve().parents[2] / "data_manifests"


def _document(path: Path) -> dict[str, object]:
    try:
        if path.exists() and not path.is_file():  # a pipe would wait forever
            raise ManifestError(f"{str(path)!r} is not a file; give a data manifest, a .toml file")
        if path.stat().st_size > _LARGEST:
            raise ManifestError(
                f"{str(path)!r} is larger than {_LARGEST >> 20} MiB, so it is not a data manifest"
            )
        with path.open("rb") as file:
            return tomllib.load(file)
    except ManifestError:
        raise
    except OSError as error:
        raise ManifestError(f"cannot read the manifest {str(path)!r}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ManifestError(f"{str(path)!r} is not UTF-8; save it as UTF-8") from None
    except (
        ValueError,
        RecursionError,
    ) as error:  # ValueError: a number too long
        raise ManifestError(f"{str(path)!r} is not valid TOML: {error}") from None
