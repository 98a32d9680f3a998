"""Assert that the texts of a figure can be read."""

import itertools

from matplotlib.text import Text


def shown_texts(figure):
    """(text, box) of all that is written in a figure as it is saved."""
    figure.canvas.draw()
    beyond = {
        label
        for ax in figure.axes
        for axis in (ax.xaxis, ax.yaxis)
        for at, label in zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=False)
        if not min(axis.get_view_interval()) <= at <= max(axis.get_view_interval())
    }  # of ticks outside of the limits, which are not drawn
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    texts = [text for text in texts if text not in beyond]
    return [(text.get_text(), Text.get_window_extent(text)) for text in texts]


def require_readable(figure):
    """Assert that all texts lie inside the figure, apart from each other, and say no nan."""
    shown = [item for item in shown_texts(figure) if item[1].width]
    for text, box in shown:
        assert "nan" not in text.lower().split(), text
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, text
    for (one, a), (other, b) in itertools.combinations(shown, 2):
        covers = min(a.x1, b.x1) - max(a.x0, b.x0) > 0.5 and min(a.y1, b.y1) - max(a.y0, b.y0) > 0.5
        assert not covers, (one, other)
    assert figure.bbox.width >= 1000
