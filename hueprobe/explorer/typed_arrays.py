"""Arrays in JSON: dtype, shape and the values as base64, little-endian."""

import base64
from typing import Any

import numpy as np

DTYPES = ("uint8", "uint16", "uint32", "int32", "float32")


def encoded(values: Any, dtype: str) -> dict[str, Any]:
    """Return an array as a JSON record.

    Parameters
    ----------
    values : array_like
        Values; integers must fit into `dtype`.
    dtype : {"uint8", "uint16", "uint32", "int32", "float32"}
        Data type in the record.

    Raises
    ------
    OverflowError
        An integer does not fit.

    Examples
    --------
    >>> encoded([[1, 2]], "uint16")
    {'dtype': 'uint16', 'shape': [1, 2], 'data': 'AQACAA=='}
    """
    array = np.asarray(values)
    if dtype != "float32" and array.size:
        limits = np.iinfo(dtype)
        if array.min() < limits.min or array.max() > limits.max:
            raise OverflowError(f"values from {array.min()} to {array.max()} do not fit into {dtype}")
    data = np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<"))
    return {
        "dtype": dtype,
        "shape": list(array.shape),
        "data": base64.b64encode(data.tobytes()).decode("ascii"),
    }


def decoded(record: dict[str, Any]) -> np.ndarray:
    """Return the array of a record that `encoded` made.

    Parameters
    ----------
    record : dict
        The record.

    Examples
    --------
    >>> decoded(encoded([[1, 2]], "uint16"))
    array([[1, 2]], dtype=uint16)
    """
    values = np.frombuffer(base64.b64decode(record["data"]), np.dtype(record["dtype"]).newbyteorder("<"))
    return values.reshape(record["shape"]).astype(record["dtype"])
