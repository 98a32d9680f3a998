"""Download of one file over HTTP, checked against its manifest."""

from pathlib import Path

from hueprobe.datasets.origin import Download
from hueprobe.errors import DownloadError
from hueprobe.files import digest_of

_CHUNK = 1 << 18
# No transfer compression: it would be unpacked on arrival and change the checksum.
_AS_IT_IS = {"Accept-Encoding": "identity"}


def fetch_file(file: Download, folder: Path, *, progress: bool = False) -> Path:
    """Fetch one file into an existing folder, and compare it with its size and checksums.

    Parameters
    ----------
    file : Download
        File to fetch.
    folder : Path
        Existing folder to write to.
    progress : bool, default=False
        Whether to show a progress bar on stderr.

    Raises
    ------
    DownloadError
        If the download fails or is incomplete, or if size or checksum differ from the manifest.
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
            f"{file.url} has {size:,} bytes, not {file.bytes:,} like in the manifest; it is not used"
        )
    for kind, promised in (("sha256", file.sha256), ("md5", file.md5)):
        if promised and (found := digest_of(arrived, kind)) != promised:
            raise DownloadError(
                f"{file.url} has {kind} {found}, not {promised} like in the manifest; it is not used"
            )
    return arrived


def _reason(error: Exception) -> str:
    """Return the cause of an error of requests: the message of the server or the system."""
    response = getattr(error, "response", None)
    if response is not None:
        response.close()
        return f"HTTP Error {response.status_code}: {response.reason}"
    cause: BaseException = error  # its own text is a nested representation
    while (deeper := cause.__cause__ or cause.__context__) is not None:
        cause = deeper
    return " ".join(str(cause).split())[:300] or type(cause).__name__
