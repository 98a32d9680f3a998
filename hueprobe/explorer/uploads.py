"""Images that the reader of the page gives: read within limits, and kept in RAM."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from starlette.requests import Request

from hueprobe.explorer.guard import RequestError
from hueprobe.images.limits import max_image_bytes
from hueprobe.images.table import ImageTable, from_items

MOST_KEPT = 20
MOST_BYTES = 64 << 20  # of one upload
_MOST_BYTES_KEPT = 256 << 20
_LONGEST_NAME = 200  # characters
_TYPES = ("image/", "application/octet-stream")  # the second where a browser knows no name for the format


@dataclass(frozen=True)
class Upload:
    """An image file that was uploaded.

    Attributes
    ----------
    name : str
        Its name, only to be shown.
    data : bytes
        Its content.
    """

    name: str
    data: bytes

    def table(self) -> ImageTable:
        """Return the image as a table of one row, which is read like a file."""
        return from_items([self.data], [None])


class Uploads:
    """The last uploads, by a row number that no other upload ever gets."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, Upload] = OrderedDict()
        self._next = 0
        self._lock = threading.Lock()

    def add(self, upload: Upload) -> int:
        """Keep an upload, drop the oldest ones beyond the limits, and return its row.

        Parameters
        ----------
        upload : Upload
            The upload.
        """
        with self._lock:
            row, self._next = self._next, self._next + 1
            self._kept[row] = upload
            while len(self._kept) > MOST_KEPT or (len(self._kept) > 1 and self._bytes() > _MOST_BYTES_KEPT):
                self._kept.popitem(last=False)
            return row

    def get(self, row: int) -> Upload | None:
        """Return an upload, None if it was dropped or never there.

        Parameters
        ----------
        row : int
            Its row.
        """
        with self._lock:
            return self._kept.get(row)

    def _bytes(self) -> int:
        return sum(len(upload.data) for upload in self._kept.values())


def most_bytes() -> int:
    """Return the largest size of an upload in bytes."""
    return min(MOST_BYTES, max_image_bytes() or MOST_BYTES)


async def received_upload(request: Request) -> Upload:
    """Receive the body of a request, but no more of it than an image may have.

    Parameters
    ----------
    request : Request
        A request whose body is an image file. The parameter `name` is optional.

    Raises
    ------
    RequestError
        The body is empty, too large, or said to be something else than an image.
    """
    kind = request.headers.get("content-type", "")
    if not kind.startswith(_TYPES) or "content-encoding" in request.headers:
        raise RequestError(415, f"the upload is {kind or 'of no type'!r}; send the bytes of one image file")
    most = most_bytes()
    too_large = RequestError(
        413, f"the file is larger than {most >> 20} MB; query it with `hueprobe query` instead"
    )
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) > most:
        raise too_large
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise too_large
        parts.append(part)
    if not size:
        raise RequestError(422, "the file is empty")
    name = "".join(c for c in request.query_params.get("name", "")[:_LONGEST_NAME] if c.isprintable())
    return Upload(name or "upload", b"".join(parts))
