"""README stays short, its Python runs as it stands, and its numbers are those of the results files."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import readme

README = readme.README
TEXT = README.read_text("utf-8")


def test_it_is_short():
    assert len(TEXT.splitlines()) <= 120


def test_its_tables_are_those_of_the_results():
    assert readme.updated(TEXT) == TEXT


def test_no_number_with_decimals_stands_outside_the_tables():
    prose = re.sub(r"<!-- \w+:.*?<!-- end -->", "", TEXT, flags=re.DOTALL)
    prose = re.sub(r"```.*?```", "", prose, flags=re.DOTALL)
    prose = re.sub(r"^    .*$", "", prose, flags=re.MULTILINE)  # commands
    found = re.findall(r"\d+\.\d+", prose)
    assert set(found) <= {"3.11", "2.0"}  # Python's version and the license's


def test_its_links_lead_to_files():
    links = re.findall(r"\]\(([^)#:]+)\)", TEXT)
    assert links and all((README.parent / link).exists() for link in links)


@pytest.mark.demo
@pytest.mark.slow
def test_its_python_runs_as_it_stands(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "match.png").is_file()
    assert (Path(tmp_path) / "report" / "verdicts.json").is_file()
