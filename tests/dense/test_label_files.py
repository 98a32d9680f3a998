"""Files of label maps."""

import numpy as np
import pytest
from PIL import Image

from hueprobe.dense import label_colors, label_file_names, write_label_map
from hueprobe.errors import InputError
from hueprobe.images import LabelSet, read_mask


@pytest.mark.parametrize(
    "labels",
    [LabelSet(("a", "b"), (0, 7)), LabelSet(("a", "b"), (3, 400)), LabelSet(("a", "b"), (0, 255), ignore=())],
)
def test_a_label_map_is_read_back(labels, tmp_path):
    shown = np.array([[0, 1], [1, 0]], np.int32)
    write_label_map(tmp_path / "map.png", shown, labels)
    np.testing.assert_array_equal(read_mask(tmp_path / "map.png", labels), shown)
    write_label_map(tmp_path / "map.png", np.array([[-1, 0]]), labels)
    value = np.asarray(Image.open(tmp_path / "map.png"))[0, 0]
    assert value not in labels.values and (not labels.ignore or value in labels.ignore)


def test_the_palette_has_the_colors_of_the_labels(tmp_path):
    write_label_map(tmp_path / "map.png", np.array([[0, 1]]), LabelSet(("a", "b"), (0, 7)))
    colors = np.asarray(Image.open(tmp_path / "map.png").convert("RGB"))
    np.testing.assert_array_equal(colors[0], label_colors(2))


def test_files_have_the_paths_of_images():
    assert label_file_names(["/data/x/a/1.jpg", "/data/x/b/1.jpg"]) == ("a/1.png", "b/1.png")
    assert label_file_names(["../1.jpg"]) == ("1.png",)
    assert label_file_names(["/data/1.jpg"]) == ("1.png",)
    with pytest.raises(InputError, match="two images have the path"):
        label_file_names(["1.jpg", "1.jpg"])


def test_the_colors_of_twelve_labels_differ_in_lightness_or_hue():
    colors = label_colors(40).astype(int)
    assert len({tuple(color) for color in colors.tolist()}) == 40
    apart = np.abs(colors[:12, None] - colors[None, :12]).sum(-1) + 999 * np.eye(12, dtype=int)
    assert apart.min() >= 60
