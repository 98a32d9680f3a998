"""A network that is not made yet: what `load_backbone` follows, wherever the network comes from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import Image
from torch import Tensor, nn

from hueprobe.activations.bottlenecks import Bottleneck
from hueprobe.activations.hooks import Tap
from hueprobe.images.transform import Transform

ImageTransform = Callable[[Image.Image], Tensor]

IMAGENET_TRANSFORM = Transform(resize=256, crop=224)
NOTHING_TOLD = "since the file does not tell which transform it was trained with"


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """A network that is not made yet.

    Parameters
    ----------
    build : callable
        Makes the network without its weights, and the transform that goes with it.
    bottleneck : Bottleneck or None
        Its row of the table; None to look for one when the network is built.
    weights : str
        What its weights are called: an enum name, `default`, `none`, or an absolute path.
    state : callable or None
        Reads the weights to put into the network it is given; None keeps what `build` gave.
    tap : callable or None
        Says where the network that is built is tapped for a layer's name, or for None, the
        bottleneck; None to ask the table.
    transform_of : str or None
        Where the weights are a file, whose transform `build` gives and why.
    transform_assumed : bool
        Nothing shows whose weights the file holds.
    """

    build: Callable[[], tuple[nn.Module, ImageTransform]]
    bottleneck: Bottleneck | None
    weights: str
    state: Callable[[nn.Module], Mapping[str, Tensor]] | None
    tap: Callable[[nn.Module, str | None], Tap] | None = None
    transform_of: str | None = None
    transform_assumed: bool = False
