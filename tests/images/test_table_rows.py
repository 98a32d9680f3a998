"""CSV and Parquet files as people write them: what is understood, and what the hint says."""

import warnings

import pandas as pd
import pytest

from hueprobe.errors import HueprobeWarning, ImageError
from hueprobe.images import from_table


@pytest.fixture
def written(tmp_path, write_image):
    """Write a table beside the images cat/1.png and dog/2.png, and read it."""
    write_image("cat/1.png")
    write_image("dog/2.png")

    def read(text):
        (tmp_path / "t.csv").write_text(text)
        return from_table(tmp_path / "t.csv")

    return read


def understood(table):
    assert (table.paths, table.classes) == (("cat/1.png", "dog/2.png"), ("cat", "dog"))
    return table


@pytest.mark.parametrize(
    ("separator", "said"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars"), ("; ", "semicolons")]
)
def test_other_separators(written, separator, said):
    rows = [("path", "class", "split"), ("cat/1.png", "cat", "train"), ("dog/2.png", "dog", "test")]
    with pytest.warns(HueprobeWarning, match=f"cells are separated by {said}") as caught:
        table = understood(written("\n".join(separator.join(row) for row in rows) + "\n"))
    assert table.splits == ("train", "test")
    assert len(caught) == 1 and caught[0].filename == __file__


def test_the_line_by_which_spreadsheets_name_the_separator(written):
    with pytest.warns(HueprobeWarning, match="separated by semicolons"):
        understood(written("sep=;\npath;class\ncat/1.png;cat\ndog/2.png;dog\n"))


@pytest.mark.parametrize(
    "text",
    [
        "path, class\ncat/1.png, cat\ndog/2.png, dog\n",
        'path, class\ncat/1.png, "cat"\ndog/2.png , dog\n',
        " path ,class \ncat/1.png,cat\ndog/2.png,dog\n",
        "Path,Class\ncat/1.png,cat\ndog/2.png,dog\n",
        "PATH, CLASS\ncat/1.png, cat\ndog/2.png, dog\n",
    ],
)
def test_space_and_capitals_in_the_header(written, text):
    with pytest.warns(HueprobeWarning, match="columns are read as|space round cells is left out") as caught:
        understood(written(text))
    assert len(caught) == 1


def test_space_round_cells_alone(written):
    with pytest.warns(HueprobeWarning, match="class ' cat' is 'cat'"):
        understood(written("path,class\n cat/1.png, cat\ndog/2.png ,dog\n"))


@pytest.mark.parametrize("n_times", [1, 2])
def test_the_index_of_pandas_is_named(tmp_path, written, n_times):
    written("path,class\ncat/1.png,cat\n")
    for _ in range(n_times):
        pd.read_csv(tmp_path / "t.csv").to_csv(tmp_path / "t.csv")
    name = "''" if n_times == 1 else "'' and 'Unnamed: 0'"
    with pytest.warns(HueprobeWarning, match=f"{name}: the index that pandas writes, which index=False"):
        assert from_table(tmp_path / "t.csv").classes == ("cat",)


def test_the_index_of_pandas_in_parquet(tmp_path, written):
    written("path,class\ncat/1.png,cat\n")
    frame = pd.DataFrame({"path": ["cat/1.png"], "class": ["cat"]}, index=["a"])
    frame.to_parquet(tmp_path / "t.parquet")
    with pytest.warns(HueprobeWarning, match="'__index_level_0__': the index that pandas writes"):
        assert from_table(tmp_path / "t.parquet").classes == ("cat",)


def test_columns_of_parquet_with_space_and_capitals(tmp_path, written):
    written("path,class\ncat/1.png,cat\n")
    pd.DataFrame({"Path": ["cat/1.png"], " class": ["cat"]}).to_parquet(tmp_path / "t.parquet")
    with pytest.warns(HueprobeWarning, match="columns are read"):
        assert from_table(tmp_path / "t.parquet").classes == ("cat",)


def test_backslashes(written):
    with pytest.warns(HueprobeWarning, match="1 of 2 paths .* have backslashes between folders"):
        understood(written("path,class\ncat\\1.png,cat\ndog/2.png,dog\n"))
    with pytest.warns(HueprobeWarning, match="2 of 2 paths"):
        understood(written("path,class\n.\\cat\\1.png,cat\ndog\\2.png,dog\n"))
    with pytest.raises(ImageError, match="written as on Windows: write / between folders"):
        written("path,class\nC:\\data\\1.png,cat\n")


def test_backslashes_do_not_lead_out_of_the_folder(tmp_path, written, write_image, monkeypatch):
    """Where a table is fenced: among unpacked data sets."""
    monkeypatch.setenv("HUEPROBE_DATA", str(tmp_path / "tables"))
    write_image("other/3.png")
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "t.csv").write_text("path,class\n..\\other\\3.png,a\n")
    with pytest.raises(ImageError, match="leads out of the table's folder"):
        from_table(tmp_path / "tables" / "t.csv")


def test_a_file_with_a_backslash_in_its_name_is_that_file(tmp_path, written, write_image):
    write_image("cat\\1.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert written("path,class\ncat\\1.png,cat\n").paths == ("cat\\1.png",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("filename,class\ncat/1.png,cat\n", "'filename' looks like it: call it path"),
        ("path,label\ncat/1.png,cat\n", "'label' looks like it: call it class"),
        ("path;label\ncat/1.png;cat\n", "no column 'class', only path, label"),
        ("cat/1.png,cat\ndog/2.png,dog\n", "the first line must be these names, not an image"),
        ("path;class\ncat/1.png;a;b\n", "3 cells under 2 columns; quote a ';'"),
    ],
)
def test_hints(written, text, said):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HueprobeWarning)
        with pytest.raises(ImageError, match=said) as caught:
            written(text)
    assert "\n" not in str(caught.value)
