"""One layer of a network in training: its activations kept with their graph, for terms that read them."""

from typing import Any

import torch
from torch import Tensor, nn

from hueprobe.activations.bottlenecks import bottleneck_of_module
from hueprobe.activations.hooks import Tap, as_grid, find_tap
from hueprobe.errors import LayerError


class LayerWatch:
    """Keeps what one layer gave in the last forward pass, through which gradients still flow.

    The network goes on with a clone, so that an in-place operation behind the layer (DenseNet's last ReLU)
    cannot rewrite what is kept; its results are the same bit for bit. Use `remove`, or a `with` block, to
    take the hooks off.

    Parameters
    ----------
    network : nn.Module
    layer : str, optional
        Dotted name; the bottleneck of a network of torchvision's own classes if it is left out.
    tap : Tap, optional
        Where and how to look, as `load_backbone` gives it, instead of `layer`.

    Raises
    ------
    LayerError
        There is no such layer, or none was named and the network is not in the table.

    Examples
    --------
    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten())
    >>> with LayerWatch(network, "0") as watch:
    ...     _ = network(torch.randn(2, 3, 8, 8))
    >>> watch.grid().shape
    torch.Size([2, 4, 6, 6])
    """

    def __init__(self, network: nn.Module, layer: str | None = None, *, tap: Tap | None = None) -> None:
        name = f"network {type(network).__name__}"
        self.tap = tap or find_tap(network, bottleneck_of_module(network), layer, name=name)
        self._images: torch.Size | None = None
        self._outputs: list[Any] = []
        self._handles = [
            network.register_forward_pre_hook(self._keep_size),
            network.get_submodule(self.tap.layer).register_forward_hook(self._keep),
        ]

    def output(self) -> Tensor:
        """Return the layer's output in the last forward pass, as it came.

        Raises
        ------
        LayerError
            The layer has not run in the last forward pass, or gives no tensor.
        """
        if not self._outputs or not isinstance(self._outputs[0], Tensor):
            what = f"gives a {type(self._outputs[0]).__name__}" if self._outputs else "has not run"
            raise LayerError(f"layer {self.tap.layer!r} of {self.tap.name} {what}; call the network first")
        return self._outputs[0]

    def grid(self) -> Tensor:
        """Return the activations of the last forward pass as (B, C, H, W), after the closing nonlinearity.

        Raises
        ------
        LayerError
            The layer has not run, or its output is no grid.
        """
        if self._images is None:
            raise LayerError(
                f"{self.tap.name} has not run yet; call it before its layer {self.tap.layer!r} is read"
            )
        grid = as_grid(self._outputs, self.tap, images=self._images)
        return nn.functional.relu(grid) if self.tap.apply_closing else grid

    def forget(self) -> None:
        """Let go of what is kept: until its next forward pass the network counts as not run."""
        self._outputs.clear()
        self._images = None

    def remove(self) -> None:
        """Take the hooks off; what is kept can still be read."""
        for handle in self._handles:
            handle.remove()

    def __enter__(self) -> "LayerWatch":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the hooks off."""
        self.remove()

    def _keep_size(self, _network: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._outputs.clear()
        self._images = inputs[0].shape

    def _keep(self, _layer: nn.Module, _inputs: Any, output: Any) -> Any:
        self._outputs[:] = [output]
        return output.clone() if isinstance(output, Tensor) and output.requires_grad else output


def grid_shape(network: nn.Module, watch: LayerWatch, image_size: tuple[int, int]) -> tuple[int, int, int]:
    """Return (C, H, W) of the watched layer for images of a size, from one pass in eval mode.

    The pass changes neither the network's statistics nor the mode of any module, and the watch forgets it.
    """
    training = [part for part in network.modules() if part.training]
    first = next(iter(network.parameters()), torch.zeros(()))
    network.eval()
    try:
        with torch.no_grad():
            network(torch.zeros(1, 3, *image_size, device=first.device, dtype=first.dtype))
        _, channels, height, width = watch.grid().shape
    finally:
        watch.forget()
        for part in training:
            part.training = True
    return channels, height, width
