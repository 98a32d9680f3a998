"""One file over HTTP, as its manifest promises it or not at all."""

from pathlib import Path

from hueprobe.datasets.origin import Download
from hueprobe.errors import DownloadError
from hueprobe.files import digest_of

_CHUNK = 1 << 18
# As it lies on the server: what is packed for the way would be unpacked, and have another checksum.
_AS_IT_IS = {"Accept-Encoding": "identity"}


def fetch_file(file: Download, folder: Path, *, progress: bool = False) -> Path:
    """Fetch one file into `folder`, which is there, and compare it with its size and checksums.

    Parameters
    ----------
    file : Download
    folder : Path
    progress : bool
        A bar on stderr.

    Raises
    ------
    DownloadError
        It does not come, not whole, or with another size or checksum than the manifest says.
    """
    import pooch
    import requests

    arrived = folder / file.name
    download = pooch.HTTPDownloader(progressbar=progress, chunk_size=_CHUNK, headers=_AS_IT_IS)
    try:
        download(file.url, str(arrived), None)
    except requests.RequestException as error:
        raise DownloadError(f"cannot fetch {file.url}: {_reason(error)}") from error
    size = arrived.stat().st_size
    if file.bytes is not None and size != file.bytes:
        raise DownloadError(
            f"{file.url} gave {size:,} bytes, the manifest says {file.bytes:,}; it is not used"
        )
    for kind, promised in (("sha256", file.sha256), ("md5", file.md5)):
        if promised and (found := digest_of(arrived, kind)) != promised:
            raise DownloadError(
                f"{file.url} has {kind} {found}, the manifest says {promised}; it is not used"
            )
    return arrived


def _reason(error: Exception) -> str:
    """Return what lies behind an error of requests: what the server or the system said."""
    response = getattr(error, "response", None)
    if response is not None:
        response.close()
        return f"HTTP Error {response.status_code}: {response.reason}"
    cause: BaseException = error  # whose own text is a nest of representations
    while (deeper := cause.__cause__ or cause.__context__) is not None:
        cause = deeper
    return " ".join(str(cause).split())[:300] or type(cause).__name__
