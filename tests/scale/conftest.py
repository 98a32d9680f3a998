"""Images and a network for memories that are built in parts."""

import pytest

from tests.scale.sets import SMALL, draw, network


@pytest.fixture
def images(tmp_path):
    return draw(tmp_path)


@pytest.fixture
def options():
    return {"backbone": network(), "layer": "3", **SMALL}
