"""The description of a network that is not created yet, from which `load_backbone` builds it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from PIL import Image
from torch import Tensor, nn

from hueprobe.activations.bottlenecks import Bottleneck
from hueprobe.activations.hooks import Tap
from hueprobe.images.transform import Transform

ImageTransform = Callable[[Image.Image], Tensor]

IMAGENET_TRANSFORM = Transform(resize=256, crop=224)
NOTHING_TOLD = "since the file does not record which transform it was trained with"


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """A network that is not created yet.

    Parameters
    ----------
    build : callable
        Creates the network without its weights, and the transform that belongs to it.
    bottleneck : Bottleneck or None
        Row of the table of bottlenecks; None to look for one when the network is built.
    weights : str
        Name of the weights, `default`, `none`, or an absolute path.
    state : callable or None
        Reads the weights for a given network; None keeps those that `build` created.
    tap : callable or None, default=None
        Returns the tap of the built network for a layer's name (None for the bottleneck); None uses
        the table.
    transform_of : str or None, default=None
        For weights from a file: the weights whose transform `build` returns, and why.
    transform_assumed : bool, default=False
        Whether `transform_of` is a guess, since nothing identifies the weights in the file.
    """

    build: Callable[[], tuple[nn.Module, ImageTransform]]
    bottleneck: Bottleneck | None
    weights: str
    state: Callable[[nn.Module], Mapping[str, Tensor]] | None
    tap: Callable[[nn.Module, str | None], Tap] | None = None
    transform_of: str | None = None
    transform_assumed: bool = False
