"""Colors of labels, told apart with any kind of color vision as far as their number allows."""

import colorsys

import numpy as np

# Tol's muted scheme and three colors between, ordered so that neighbors differ in lightness too.
_FIRST = (
    "88CCEE", "882255", "DDCC77", "332288", "CC6677", "117733", "E69F00", "44AA99", "000000", "AA4499",
    "999933", "BBBBBB",
)  # fmt: skip
_GOLDEN = 0.618034


def label_colors(n_labels: int) -> np.ndarray:
    """Return one color per label.

    The first twelve are those of Tol's muted scheme with black, gray and orange; later ones repeat hues in
    other lightness, and only their names tell them apart for certain.

    Parameters
    ----------
    n_labels : int
        Number of labels.

    Returns
    -------
    ndarray of uint8, shape (n_labels, 3)
        Red, green and blue.

    See Also
    --------
    hueprobe.plots.segmentation_figure : Draw label maps in these colors.

    Examples
    --------
    >>> label_colors(2)
    array([[136, 204, 238],
           [136,  34,  85]], dtype=uint8)
    """
    colors = [tuple(bytes.fromhex(text)) for text in _FIRST[:n_labels]]
    for i in range(len(colors), n_labels):
        made = colorsys.hls_to_rgb(i * _GOLDEN % 1, (0.35, 0.55, 0.75)[i % 3], 0.6)
        colors.append(tuple(round(255 * part) for part in made))
    return np.array(colors, np.uint8).reshape(n_labels, 3)
