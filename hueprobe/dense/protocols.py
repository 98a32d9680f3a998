"""How predicted labels are compared with true ones: strictly, or as the reference code of the field does.

`hummingbird` is what open-hummingbird-eval does. It differs from `strict` in these points:

| | strict | hummingbird |
|---|---|---|
| ignored pixels in the memory | counted for no label | counted for label 0 |
| predicted labels | compared as they are | assigned one to one to true labels, by the best total IoU |
| mean IoU | over labels that occur or are predicted | over all labels, 0 for absent ones |
| size of the maps | the image's own | that of the network's input |
| input | any transform | squashed square, standard deviation of blue .255 |
| sample of cells, if asked for | uniform | cells of rare labels more often; see `sample_cells` |

Ignored pixels of the test are left out by both.
"""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from hueprobe.dense.sampling import RARE, UNIFORM
from hueprobe.errors import HueprobeWarning, require_choice

if TYPE_CHECKING:
    from hueprobe.images.transform import Transform

HUMMINGBIRD_STD = (0.229, 0.224, 0.255)


@dataclass(frozen=True)
class Protocol:
    """Rules of a comparison of predicted with true labels.

    Attributes
    ----------
    name : str
        Name.
    ignored_as_first : bool
        Whether ignored pixels of the memory count for label 0.
    assigned : bool
        Whether predicted labels are assigned to true ones before they are compared.
    absent_as_zero : bool
        Whether labels that neither occur nor are predicted have an IoU of 0 in the mean.
    at_input_size : bool
        Whether maps have the size of the network's input; otherwise they have the image's own.
    sampling : {"uniform", "rare"}
        How cells of the memory are sampled, if they are.

    See Also
    --------
    hueprobe.dense.protocol_of : Get one by its name.

    Examples
    --------
    >>> hp.dense.protocol_of("strict").assigned
    False
    """

    name: str
    ignored_as_first: bool
    assigned: bool
    absent_as_zero: bool
    at_input_size: bool
    sampling: str


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("strict", False, False, False, False, UNIFORM),
        Protocol("hummingbird", True, True, True, True, RARE),
    )
}


def protocol_of(name: str) -> Protocol:
    """Return a protocol.

    Parameters
    ----------
    name : {"strict", "hummingbird"}
        Its name.

    Returns
    -------
    Protocol

    Raises
    ------
    InputError
        There is no such protocol.

    See Also
    --------
    hueprobe.segment : Use it.

    Examples
    --------
    >>> protocol_of("hummingbird").ignored_as_first
    True
    """
    require_choice("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]


def assign_labels(confusion: np.ndarray) -> np.ndarray:
    """Assign predicted labels to true ones, one to one, so that the sum of their IoU is largest.

    The assignment looks at the true labels of the test, so a score after it is no score of the predictions
    alone.

    Parameters
    ----------
    confusion : ndarray of shape (n_labels, n_labels + 1)
        Counts of `count_confusion`.

    Returns
    -------
    ndarray of int64, shape (n_labels,)
        True label of each predicted one.

    See Also
    --------
    scipy.optimize.linear_sum_assignment : The Hungarian algorithm.

    Examples
    --------
    >>> assign_labels(np.array([[1, 9, 0], [8, 0, 0]]))
    array([1, 0])
    """
    counts = np.asarray(confusion, np.float64)[:, :-1]
    union = counts.sum(axis=1, keepdims=True) + counts.sum(axis=0, keepdims=True) - counts
    iou = np.divide(counts, union, out=np.zeros_like(counts), where=union > 0)
    true, predicted = linear_sum_assignment(-iou)
    assigned = np.empty(len(counts), np.int64)
    assigned[predicted] = true
    return assigned


def relabel(confusion: np.ndarray, assigned: np.ndarray) -> np.ndarray:
    """Return counts with the predicted labels replaced by those they are assigned to.

    Parameters
    ----------
    confusion : ndarray of shape (..., n_labels, n_labels + 1)
        Counts of `count_confusion`.
    assigned : ndarray of int64, shape (n_labels,)
        Result of `assign_labels`.
    """
    moved = np.array(confusion)
    moved[..., assigned] = confusion[..., :-1]
    return moved


def warn_of_other_input(protocol: Protocol, transform: "Transform") -> None:
    """Warn if a memory's transform is not that of the reference code that the protocol follows.

    Parameters
    ----------
    protocol : Protocol
        The protocol.
    transform : Transform
        The transform of the memory.
    """
    if not protocol.at_input_size:
        return
    shape = transform.shape
    square = shape is not None and shape[1] == shape[2] and transform.fit == "squash"
    if not square or not np.allclose(transform.std, HUMMINGBIRD_STD):
        warnings.warn(
            f"protocol {protocol.name} squashes images to a square and divides blue by .255; this memory was "
            f"built with {transform}; build one with --fit squash --crop SIDE --std 0.229,0.224,0.255",
            HueprobeWarning,
            stacklevel=4,
        )
