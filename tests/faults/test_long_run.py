"""The rule of the long run, and a few of its rounds."""

import pytest

from tests.faults.jobs import draw_images
from tests.faults.long_run import grown, held, one_round
from tests.tiny_network import tiny

pytestmark = pytest.mark.slow


def rows(**growing):
    flat = {"files": 7, "threads": 1, "system_threads": 4, "anonymous_mib": 400.0}
    return [{name: flat[name] + i * growing.get(name, 0) for name in flat} for i in range(40)]


def test_what_is_flat_passes_and_what_grows_does_not():
    assert grown(rows()) == []
    for name, step in (("files", 1), ("threads", 1), ("system_threads", 1), ("anonymous_mib", 0.3)):
        (found,) = grown(rows(**{name: step}))
        assert found.startswith(("RssAnon" if name == "anonymous_mib" else name) + ":")


@pytest.mark.filterwarnings("ignore")
def test_a_few_rounds_hold_on_to_nothing(tmp_path):
    network, transform = tiny()
    images = draw_images(tmp_path / "images")
    noted = []
    for _ in range(3):
        one_round(images, tmp_path / "work", network, transform)
        noted.append(held())
    assert noted[-1]["files"] <= noted[0]["files"]
    assert noted[-1]["threads"] <= noted[0]["threads"]
