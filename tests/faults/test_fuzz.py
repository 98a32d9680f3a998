"""Whatever a file holds, its reader says what is wrong in a HueprobeError, and in little time."""

import time
import traceback
import warnings

import pytest

from hueprobe.errors import HueprobeError
from tests.faults.readers import READERS

SECONDS = 20  # of one trial: more is taken for a loop without end


@pytest.mark.parametrize("name", READERS)
def test_only_our_errors_come_out(faults, name, tmp_path):
    make, method, short, long = READERS[name]
    read = getattr(make(tmp_path), method)
    failures = []
    n = faults.n(short, long)
    for trial in range(n):
        began = time.monotonic()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(faults.rng)
        except HueprobeError as error:
            if not str(error).strip():
                failures.append(f"trial {trial}: {type(error).__name__} without a word")
        except Exception as error:  # the trial's failure
            place = traceback.extract_tb(error.__traceback__)[-1]
            failures.append(f"trial {trial}: {error!r:.300} at {place.filename}:{place.lineno}")
        if time.monotonic() - began > SECONDS:
            failures.append(f"trial {trial}: took {time.monotonic() - began:.0f} s")
    faults.tried(f"fuzz: {name}", n, failures)
