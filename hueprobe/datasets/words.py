"""Allowed values in a manifest: types for `records`, and checks that types cannot express."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from hueprobe.datasets.inside import require_inside

Text = Annotated[str, Meta(pattern=r"\S", description="a string that is not empty")]
# A variant may set a value with a default to the empty string.
OptionalText = Annotated[str, Meta(pattern=r"\A\Z|\S", description="a string that is not blank")]
Count = Annotated[int, Meta(ge=0, lt=1 << 62, description="a whole number of 0 or more")]
Positive = Annotated[int, Meta(ge=1, lt=1 << 62, description="a whole number of 1 or more")]
Md5 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z", description="32 characters 0-9 a-f")]
Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z", description="64 characters 0-9 a-f")]
Checksum = Annotated[
    str,
    Meta(
        pattern=r"\A(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64})\Z",
        description="md5: or sha256: followed by hex digits",
    ),
]


def require_path(key: str, path: str) -> None:
    """Reject a path, unless empty, that leads out of its folder.

    Parameters
    ----------
    key, path : str
        Key of the manifest, for the message, and its value.

    Raises
    ------
    ValueError
        If the path is not a plain path below a folder.
    """
    if path and (why := require_inside(path)):
        raise ValueError(
            f"{key}: the path {path!r} is not allowed, {why}; give one below the set's folder, with /"
        )


def require_address(key: str, address: str) -> None:
    """Reject a URL, unless empty, that is not http or https.

    Parameters
    ----------
    key, address : str
        Key of the manifest, for the message, and its value.

    Raises
    ------
    ValueError
        If the value is not such a URL.
    """
    try:
        parts = urlsplit(address)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # a bracket that is no IPv6 address
        is_one = False
    if address and not is_one:
        raise ValueError(f"{key}: {address!r} is not a URL; it must begin with http:// or https://")


def require_regex(key: str, pattern: str) -> None:
    """Reject an invalid regular expression.

    Parameters
    ----------
    key, pattern : str
        Key of the manifest, for the message, and its value.

    Raises
    ------
    ValueError
        If Python's `re` cannot compile the pattern.
    """
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{key}: {pattern!r} is not a valid regular expression: {error}") from None
