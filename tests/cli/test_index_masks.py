"""`hueprobe index --masks` and what `hueprobe info` shows of the labels."""

import json

import numpy as np
import pytest
from PIL import Image

from hueprobe import open_memory
from tests.cli.test_cli import TINY, refused, run


@pytest.fixture
def drawn(tmp_path):
    """Four images of 20 x 40 with masks: sky (0) above road (1), a column of a car (2), the last row 255."""
    rng = np.random.default_rng(0)
    mask = np.zeros((20, 40), np.uint8)
    mask[10:], mask[:, 30:], mask[-1] = 1, 2, 255
    for name in ("a/0", "a/1", "b/2", "b/3"):
        for kind in ("images", "masks"):
            (tmp_path / kind / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (20, 40, 3), np.uint8)).save(tmp_path / f"images/{name}.png")
        Image.fromarray(mask).save(tmp_path / f"masks/{name}.png")
    (tmp_path / "names.txt").write_text("sky\nroad\ncar\n")
    return tmp_path


def index(folder, *options, name="m", masks="masks"):
    given = ["--crop", "20x40", "--fit", "squash", "--masks", folder / masks]
    return ["index", folder / "images", "-o", folder / name, *TINY, *given, *options]


def test_labels_are_stored_and_shown(drawn):
    done = run(*index(drawn, "--label-names", drawn / "names.txt"))
    assert "the 3 labels are the values 0 to 2, 255 ignored" in done.stderr
    assert "3 labels" in done.stdout
    memory = open_memory(drawn / "m")
    assert memory.label_names == ("sky", "road", "car")
    # Nothing is resized: every pixel that is not ignored is in one cell.
    assert memory.label_counts().sum(axis=(1, 2)).tolist() == [[300, 270, 190]] * 4
    document = json.loads(run("info", drawn / "m", "--json").stdout)
    labels = document["labels"]
    assert labels["ignore"] == [255] and list(labels["labels"]) == ["car", "road", "sky"]  # sorted keys
    assert labels["cells"] + labels["unlabeled_cells"] == 4 * memory.grid.n_cells
    assert labels["labels"]["car"]["images"] == 4 and labels["labels"]["car"]["value"] == 2
    assert sum(its["share"] for its in labels["labels"].values()) == pytest.approx(1)
    text = run("info", drawn / "m").stdout
    (car,) = [line for line in text.splitlines() if line.startswith("car")]
    assert car.split() == ["car", "2", "4", str(labels["labels"]["car"]["cells"]),
                           f"{labels['labels']['car']['share']:.2%}"]  # fmt: skip
    again = run(*index(drawn, "--label-names", drawn / "names.txt"))
    assert "already complete" in again.stderr
    assert "all unchanged" in run("verify", drawn / "m").stdout


def test_without_masks_there_are_no_labels(drawn):
    run("index", drawn / "images", "-o", drawn / "m", *TINY)
    assert json.loads(run("info", drawn / "m", "--json").stdout)["labels"] is None
    assert "label" not in run("info", drawn / "m").stdout


def test_a_table_with_a_column_of_masks(drawn):
    rows = [f"images/{name}.png,{name[0]},masks/{name}.png" for name in ("b/3", "a/1")]
    (drawn / "list.csv").write_text("\n".join(["path,class,mask", *rows]))
    run("index", drawn / "list.csv", "-o", drawn / "m", *TINY, "--masks", drawn / "list.csv")
    memory = open_memory(drawn / "m")
    assert memory.label_names == ("0", "1", "2")
    assert [path[-9:] for path in memory.masks["path"].to_pylist()] == ["s/b/3.png", "s/a/1.png"]


@pytest.mark.parametrize(
    ("options", "names", "ignore"),
    [
        ([], ("0", "1", "2"), (255,)),
        (["--ignore", "0", "--ignore", "1"], ("2", "255"), (0, 1)),
        (["--ignore", "none"], ("0", "1", "2", "255"), ()),
        (["--zero-is-ignore"], ("1", "2"), (0, 255)),
    ],
)
def test_ignored_values(drawn, options, names, ignore):
    run(*index(drawn, *options))
    labels = open_memory(drawn / "m").label_set
    assert labels.names == names and labels.ignore == ignore


def test_append_takes_masks_and_the_labels_of_the_memory(drawn):
    run(*index(drawn, "--label-names", drawn / "names.txt"))
    (drawn / "more").mkdir()
    (drawn / "more-masks").mkdir()
    Image.fromarray(np.full((20, 40, 3), 9, np.uint8)).save(drawn / "more" / "9.png")
    Image.fromarray(np.full((20, 40), 2, np.uint8)).save(drawn / "more-masks" / "9.png")
    append = ["index", drawn / "more", "-o", drawn / "m", "--append"]
    assert "give the masks of the images to append (--masks MASKS)" in refused(*append)
    append += ["--masks", drawn / "more-masks"]
    for option in (["--ignore", "7"], ["--ignore", "none"], ["--zero-is-ignore"]):
        assert "--append uses the memory's own settings" in refused(*append, *option, code=2)
    run(*append)
    memory = open_memory(drawn / "m")
    assert memory.label_names == ("sky", "road", "car")
    assert memory.label_counts([4]).sum(axis=(0, 1, 2)).tolist() == [0, 0, 800]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / "masks/b/3.png").unlink(), "no mask '3.png' in"),
        (
            lambda f: Image.new("L", (40, 21)).save(f / "masks/b/3.png"),
            "has 40 x 21 pixels, its image 40 x 20",
        ),
        (
            lambda f: Image.new("L", (40, 20), 9).save(f / "masks/b/3.png"),
            "has the value 9, but the 3 labels",
        ),
        (
            lambda f: Image.new("RGB", (40, 20)).save(f / "masks/b/3.png"),
            "its pixels are RGB; save one number",
        ),
        (lambda f: (f / "names.txt").write_text(""), "there are no label names"),
        (
            lambda f: [Image.new("L", (40, 20), 255).save(p) for p in (f / "masks").rglob("*.png")],
            "all pixels of all 4 masks are ignored (values 255); change what is ignored",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_nothing_is_written(drawn, change, said):
    change(drawn)
    text = refused(*index(drawn, "--label-names", drawn / "names.txt"))
    assert said in text
    assert not (drawn / "m").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ignore", "7"], "--ignore is about masks"),
        (["--zero-is-ignore"], "--zero-is-ignore is about masks"),
        (["--label-names", "names.txt"], "--label-names is about masks"),
        (["--ignore", "x", "--masks", "masks"], "give pixel values from 0 to 65535, or none alone; got 'x'"),
        (["--crop", "20x"], "give a number of pixels, or HEIGHTxWIDTH such as 384x512; got '20x'"),
        (["--resize", "0"], "give a number of pixels, or HEIGHTxWIDTH"),
    ],
)
def test_usage(drawn, options, said):
    assert said in refused("index", drawn / "images", "-o", drawn / "m", *TINY, *options, code=2)


def test_a_pooled_memory_takes_no_masks(drawn):
    run(*index(drawn))
    text = refused(
        "index", drawn / "m", "-o", drawn / "gap", "--descriptor", "gap", "--masks", drawn / "masks", code=2
    )
    assert "a pooled memory has no cells to label" in text


def test_a_dry_run_reads_the_masks_and_writes_nothing(drawn):
    assert "the 3 labels are the values 0 to 2" in run(*index(drawn, "--dry-run")).stderr
    assert not (drawn / "m").exists()
