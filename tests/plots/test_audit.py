"""The figure of an audit shows the pairs and candidates that were found."""

import numpy as np
import pytest

import hueprobe as hp
from hueprobe import plots
from hueprobe.errors import ImageError, InputError
from tests.trust.planted import paste, plant


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    plant(folder / "images")
    memory = hp.build_memory(folder / "m", folder / "images", backbone="tests.tiny_network:tiny", layer="3")
    return folder, hp.trust.audit(memory)


def test_pairs_side_by_side_then_candidates(made):
    _, found = made
    figure = plots.audit_figure(found, n_pairs=4, n_patches=0, n_candidates=2)
    assert len(figure.axes) == 2 * 4 + 2
    first, second = found.exact[0]
    assert figure.axes[0].get_title() == found.classes[first] == figure.axes[1].get_title()
    assert found.classes[second] == found.classes[first]
    assert figure.axes[0].get_xlabel() == "equal content"
    assert (
        figure.axes[6].get_xlabel().startswith(f"relative distance {found.near.relative_distance[0]:.2f}")
    )  # after three exact
    labels = found.labels
    assert labels.n_candidates > 2
    given, predicted = labels.given[labels.candidates[0]], labels.predicted[labels.candidates[0]]
    assert figure.axes[8].get_title() == f"{given}\n{predicted}?"


def test_only_pairs_or_only_candidates(made):
    _, found = made
    assert len(plots.audit_figure(found, n_pairs=0, n_patches=0, n_candidates=1).axes) == 1
    assert len(plots.audit_figure(found, n_pairs=1, n_patches=0, n_candidates=0).axes) == 2
    with pytest.raises(InputError, match="no duplicates, shared patches or label-noise candidates to draw"):
        plots.audit_figure(found, n_pairs=0, n_patches=0, n_candidates=0)


def test_only_candidates_are_drawn_as_such(made):
    """The image with the fourth least likelihood has no likelier class; it is not drawn."""
    _, found = made
    assert (found.labels.rank[: found.labels.n_candidates] == 1).any()
    figure = plots.audit_figure(found, n_pairs=0, n_patches=0)
    titles = [ax.get_title().split("\n") for ax in figure.axes]
    assert len(titles) == found.labels.n_candidates
    assert all(predicted != f"{given}?" for given, predicted in titles)


def test_images_that_have_moved(made):
    folder, found = made
    (folder / "images").rename(folder / "elsewhere")
    try:
        with pytest.raises(ImageError, match="images_root"):
            plots.audit_figure(found)
        assert plots.audit_figure(found, images_root=folder / "elsewhere", n_pairs=1).axes
    finally:
        (folder / "elsewhere").rename(folder / "images")


def test_shared_patches_are_outlined_in_both_images(tmp_path):
    """An image of 72 x 72 pixels has 6 x 6 cells of 12 pixels."""
    patches = paste(tmp_path / "images")
    memory = hp.build_memory(
        tmp_path / "m", tmp_path / "images", backbone="tests.tiny_network:tiny", layer="3"
    )
    found = hp.trust.audit(memory)
    figure = plots.audit_figure(found, n_pairs=0, n_candidates=0)
    assert len(figure.axes) == 2 * len(patches)
    for i in range(len(found.patches)):
        one = found.patches.select(np.array([i]))
        sides = ((one.first, one.y, one.x), (one.second, one.other_y, one.other_x))
        for ax, (image, y, x) in zip(figure.axes[2 * i : 2 * i + 2], sides, strict=True):
            assert ax.get_title() == found.classes[image[0]]
            (box,) = ax.patches
            assert box.get_xy() == (12 * x[0], 12 * y[0])
            assert (box.get_width(), box.get_height()) == (12 * one.width[0], 12 * one.height[0])
    assert figure.axes[0].get_xlabel().startswith("9 cells, mean distance 0.")
