"""Activations of one layer during training, kept with their graph for loss terms that use them."""

from typing import Any

import torch
from torch import Tensor, nn

from hueprobe.activations.bottlenecks import bottleneck_of_module
from hueprobe.activations.hooks import Tap, as_grid, find_tap
from hueprobe.errors import LayerError


class LayerWatch:
    """Keep a layer's output of the last forward pass, with its graph for gradients.

    The network continues with a clone, so that an in-place operation after the layer (DenseNet's last ReLU)
    cannot overwrite the kept tensor. The network's outputs are bitwise the same. Call `remove`, or use a
    `with` block, to remove the hooks.

    Parameters
    ----------
    network : nn.Module
        The network.
    layer : str, optional
        Dotted name of the layer; by default the bottleneck, which is known for torchvision's classes.
    tap : Tap, optional
        Which layer to read and how, as `load_backbone` returns it, instead of `layer`.

    Raises
    ------
    LayerError
        There is no such layer, or no layer is named and the network's bottleneck is not known.

    See Also
    --------
    hueprobe.training.HueHead : Layers that read a watched bottleneck.
    hueprobe.training.apply_behind : Change the output of layers.

    Examples
    --------
    >>> import torch
    >>> with hp.training.LayerWatch(network, "3") as watch:
    ...     logits = network(torch.zeros(2, 3, 64, 64))
    >>> watch.grid().shape
    torch.Size([2, 16, 7, 7])
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
        """Return the layer's output in the last forward pass, unchanged.

        Returns
        -------
        Tensor
            The output, of any shape.

        Raises
        ------
        LayerError
            The layer has not run in the last forward pass, or its output is not a tensor.

        Examples
        --------
        >>> import torch
        >>> with hp.training.LayerWatch(network, "3") as watch:
        ...     logits = network(torch.zeros(2, 3, 64, 64))
        >>> gradient = torch.autograd.grad(logits.sum(), watch.output())[0]
        >>> gradient.shape
        torch.Size([2, 16, 7, 7])
        """
        if not self._outputs or not isinstance(self._outputs[0], Tensor):
            what = f"returns a {type(self._outputs[0]).__name__}" if self._outputs else "has not run"
            raise LayerError(f"layer {self.tap.layer!r} of {self.tap.name} {what}; call the network first")
        return self._outputs[0]

    def grid(self) -> Tensor:
        """Return the activations of the last forward pass as a grid, after the closing nonlinearity.

        Returns
        -------
        Tensor of shape (B, C, H, W)
            The activations.

        Raises
        ------
        LayerError
            The layer has not run, or its output is not a grid.

        Examples
        --------
        >>> import torch
        >>> with hp.training.LayerWatch(network, "3") as watch:
        ...     logits = network(torch.zeros(2, 3, 64, 64))
        >>> bool((watch.grid() >= 0).all())  # after the ReLU
        True
        """
        if self._images is None:
            raise LayerError(
                f"{self.tap.name} has not run yet; call it before its layer {self.tap.layer!r} is read"
            )
        grid = as_grid(self._outputs, self.tap, images=self._images)
        return nn.functional.relu(grid) if self.tap.apply_closing else grid

    def forget(self) -> None:
        """Release the kept tensors; the network counts as not run until its next forward pass.

        Examples
        --------
        >>> import torch
        >>> with hp.training.LayerWatch(network, "3") as watch:
        ...     logits = network(torch.zeros(2, 3, 64, 64))
        >>> watch.forget()
        >>> watch.grid()
        Traceback (most recent call last):
            ...
        hueprobe.errors.LayerError: network Sequential has not run yet; call it before its layer '3' is read
        """
        self._outputs.clear()
        self._images = None

    def remove(self) -> None:
        """Remove the hooks; the kept output can still be read.

        Examples
        --------
        >>> watch = hp.training.LayerWatch(network, "3")
        >>> watch.remove()
        >>> len(network[3]._forward_hooks)
        0
        """
        for handle in self._handles:
            handle.remove()

    def __enter__(self) -> "LayerWatch":
        """Return the watch itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the hooks."""
        self.remove()

    def _keep_size(self, _network: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._outputs.clear()
        self._images = inputs[0].shape

    def _keep(self, _layer: nn.Module, _inputs: Any, output: Any) -> Any:
        self._outputs[:] = [output]
        return output.clone() if isinstance(output, Tensor) and output.requires_grad else output


def grid_shape(network: nn.Module, watch: LayerWatch, image_size: tuple[int, int]) -> tuple[int, int, int]:
    """Return (C, H, W) of the watched layer for an image size, from one forward pass in eval mode.

    The pass changes neither the network's statistics nor the mode of any module, and the watch releases its
    output.
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
