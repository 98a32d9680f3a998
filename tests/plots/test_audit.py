"""The figure of an audit shows the pairs and candidates that were found."""

import pytest

import hueprobe as hp
from hueprobe import plots
from hueprobe.errors import ImageError, InputError
from tests.trust.planted import plant


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    plant(folder / "images")
    memory = hp.build_memory(folder / "m", folder / "images", backbone="tests.tiny_network:tiny", layer="3")
    return folder, hp.trust.audit(memory, distance=0.08, near=0.1)


def test_pairs_side_by_side_then_candidates(made):
    _, found = made
    figure = plots.audit_figure(found, n_pairs=4, n_candidates=2)
    assert len(figure.axes) == 2 * 4 + 2
    first, second = found.exact[0]
    assert figure.axes[0].get_title() == found.classes[first] == figure.axes[1].get_title()
    assert found.classes[second] == found.classes[first]
    assert figure.axes[0].get_xlabel() == "equal content"
    assert (
        figure.axes[6].get_xlabel().startswith(f"distance {found.near.distance[0]:.2f}")
    )  # after three exact
    given, predicted = found.labels.given[0], found.labels.predicted[0]
    assert figure.axes[8].get_title() == f"{given}\n{predicted}?"


def test_only_pairs_or_only_candidates(made):
    _, found = made
    assert len(plots.audit_figure(found, n_pairs=0, n_candidates=1).axes) == 1
    assert len(plots.audit_figure(found, n_pairs=1, n_candidates=0).axes) == 2
    with pytest.raises(InputError, match="there is no figure"):
        plots.audit_figure(found, n_pairs=0, n_candidates=0)


def test_images_that_have_moved(made):
    folder, found = made
    (folder / "images").rename(folder / "elsewhere")
    try:
        with pytest.raises(ImageError, match="images_root"):
            plots.audit_figure(found)
        assert plots.audit_figure(found, images_root=folder / "elsewhere", n_pairs=1).axes
    finally:
        (folder / "elsewhere").rename(folder / "images")
