import sys

import pytest
from matplotlib._pylab_helpers import Gcf
from matplotlib.figure import Figure


@pytest.fixture
def ax():
    return Figure().add_subplot()


@pytest.fixture(autouse=True)
def no_pyplot_figure(monkeypatch):
    """Nothing here may leave a figure with pyplot, which another test of this process may have loaded."""
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    before = Gcf.get_all_fig_managers()
    yield
    assert Gcf.get_all_fig_managers() == before
