"""What a value in a manifest may be: types for the readers of `records`, and checks that no type can say."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from hueprobe.datasets.inside import require_inside

Text = Annotated[str, Meta(pattern=r"\S", description="a string that is not empty")]
# What has a default may be emptied by a variant.
OptionalText = Annotated[str, Meta(pattern=r"\A\Z|\S", description="a string that is not blank")]
Count = Annotated[int, Meta(ge=0, lt=1 << 62, description="a whole number of 0 or more")]
Positive = Annotated[int, Meta(ge=1, lt=1 << 62, description="a whole number of 1 or more")]
Md5 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z", description="32 characters 0-9 a-f")]
Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z", description="64 characters 0-9 a-f")]
Checksum = Annotated[
    str,
    Meta(
        pattern=r"\A(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64})\Z",
        description="md5: or sha256: and hex digits behind it",
    ),
]


def require_path(key: str, path: str) -> None:
    """Refuse a path that is there and does not stay below the folder it starts from.

    Parameters
    ----------
    key, path : str

    Raises
    ------
    ValueError
    """
    if path and (why := require_inside(path)):
        raise ValueError(
            f"{key}: the path {path!r} is not allowed, {why}; give one below the set's folder, with /"
        )


def require_address(key: str, address: str) -> None:
    """Refuse what is there and is no http or https address.

    Parameters
    ----------
    key, address : str

    Raises
    ------
    ValueError
    """
    try:
        parts = urlsplit(address)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:  # a bracket that is no IPv6 address
        is_one = False
    if address and not is_one:
        raise ValueError(f"{key}: {address!r} is no address; it must begin with http:// or https://")


def require_regex(key: str, pattern: str) -> None:
    """Refuse what Python's `re` does not take.

    Parameters
    ----------
    key, pattern : str

    Raises
    ------
    ValueError
    """
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{key}: {pattern!r} is no regular expression: {error}") from None
