from typing_extensions import Buffer

def highest_products(
    queries: Buffer,
    pointers: Buffer | None,
    rows: Buffer,
    barred_from: Buffer,
    barred: Buffer,
    scores: Buffer,
    found: Buffer,
    left: Buffer,
    n_queries: int,
    channels: int,
    n_rows: int,
    start: int,
    stop: int,
    first: int,
    keep: int,
    level: int,
    /,
) -> None: ...
def quantize(vectors: Buffer, codes: Buffer, changed: Buffer, channels: int, padded: int, /) -> None: ...
def couple(codes: Buffer, pointers: Buffer, couples: Buffer | None, channels: int, /) -> int: ...
def check_couples(pointers: Buffer, couples: Buffer, channels: int, /) -> bool: ...
def distances(queries: Buffer, rows: Buffer, where: Buffer, out: Buffer, channels: int, /) -> None: ...
def levels() -> list[str]: ...
