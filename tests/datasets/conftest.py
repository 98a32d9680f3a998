"""A small data set and its manifest."""

import pytest

from tests.tiny_sets import manifest_of, write_image


@pytest.fixture
def shapes(tmp_path):
    """Three classes of four images in shapes/images, with lists of an official split; and its manifest."""
    base = tmp_path / "data" / "shapes"
    for name in ("circle", "line", "square"):
        for i in range(4):
            write_image(base / "images" / name / f"{name}_{i}.png", f"{name}{i}")
    for split, places in (("train", (0, 1)), ("test", (2, 3))):
        listed = [f"{name}/{name}_{i}.png" for name in ("circle", "line", "square") for i in places]
        (base / f"{split}.txt").write_text("\n".join(listed) + "\n")
    manifest = manifest_of(
        layout={"kind": "class_folders", "folder": "shapes", "pictures": "images"},
        tables=[
            {"file": f"{split}.txt", "columns": ["picture"], "set": {"split": split}}
            for split in ("train", "test")
        ],
        counts={
            "images": 12,
            "classes": 3,
            "splits": {"train": 6, "test": 6},
            "per_class": {"circle": 4, "line": 4, "square": 4},
        },
    )
    return manifest, tmp_path / "data"
