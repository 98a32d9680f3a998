"""Tables as pandas data frames; pandas is optional."""

from typing import TYPE_CHECKING

from hueprobe.errors import MissingDependencyError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def to_frame(table: "pa.Table") -> "pd.DataFrame":
    """Return a table as a data frame.

    Parameters
    ----------
    table : pyarrow.Table
        The table.

    Raises
    ------
    MissingDependencyError
        pandas is not installed.
    """
    try:
        import pandas  # noqa: F401
    except ImportError:
        raise MissingDependencyError(
            "a data frame needs pandas, which is not installed; install it with `pip install pandas`"
        ) from None
    return table.to_pandas()
