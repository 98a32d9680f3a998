"""Images in, activations after the closing nonlinearity out."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import nn

from hueprobe.activations.backbones import Backbone
from hueprobe.activations.devices import PRECISIONS, choose_device, choose_precision
from hueprobe.activations.hooks import Tap, as_grid, captured_output, evaluating, failures_worded
from hueprobe.errors import BackboneError, ShapeError
from hueprobe.threads import require_threads


class Extractor:
    """Runs images through a backbone and hands out the activations of its tapped layer.

    The network is hooked, never patched, and only while a call lasts; several extractors may share
    one network. It is moved to the device (memory format channels_last) when the extractor is made,
    and stays there; it runs in eval mode, and each sub-module's training flag is put back after a call.

    Parameters
    ----------
    backbone : Backbone
        From `load_backbone`.
    device : str
        `auto` (CUDA, else MPS, else CPU), `cpu`, `cuda`, `cuda:<i>` or `mps`.
    precision : str
        `fp32` (without TF32), or autocast to `bf16` or `fp16`. Where the device cannot, it warns and
        takes fp32.

    Attributes
    ----------
    device : torch.device
    device_kind : str
        `cpu`, `cuda` or `mps`.
    precision : str
        The one in use.

    Examples
    --------
    >>> from hueprobe.activations import load_backbone
    >>> extractor = Extractor(load_backbone("squeezenet1_1", weights="none"), device="cpu")
    >>> extractor(torch.zeros(2, 3, 64, 96)).shape
    (2, 512, 3, 5)
    """

    def __init__(self, backbone: Backbone, *, device: str = "auto", precision: str = "fp32") -> None:
        self.backbone = backbone
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        backbone.module.to(self.device).to(memory_format=torch.channels_last)

    @property
    def device_kind(self) -> str:
        """`cpu`, `cuda` or `mps`."""
        return self.device.type

    @property
    def loading(self) -> dict[str, Any]:
        """`ahead` and `pinned` of `load_batches` that suit it; a CPU has no core to decode ahead with."""
        return {"ahead": 0 if self.device_kind == "cpu" else 2, "pinned": self.device_kind == "cuda"}

    def __call__(self, images: torch.Tensor) -> np.ndarray:
        """Return the activations of a batch at the backbone's layer; see `begin`.

        Returns
        -------
        ndarray of shape (B, C, H, W), float32
            After the closing nonlinearity, in the memory order that the network gives them.
        """
        return self.at([self.backbone], images)[0]

    def at(self, taps: Sequence[Tap], images: torch.Tensor) -> list[np.ndarray]:
        """Return the activations of a batch at several layers, from one forward pass; see `begin`."""
        return self.begin(taps, images)()

    def begin(self, taps: Sequence[Tap], images: torch.Tensor) -> Callable[[], list[np.ndarray]]:
        """Begin a batch, and return a function that waits for its activations.

        On CUDA both ways over the bus overlap the network's work, the way in where `images` lie in
        pinned memory, as long as the caller begins the next batch before it waits for this one.

        Parameters
        ----------
        taps : sequence of Tap
            Of the backbone's network.
        images : Tensor of shape (B, channels, h, w)
            As the backbone's transform gives them; on any device, of any size the network takes.

        Returns
        -------
        callable
            Gives a list of ndarray of shape (B, C, H, W), float32: one a tap, after the closing
            nonlinearity, in the memory order that the network gives them.

        Raises
        ------
        ShapeError
            When images are no batch, or not of a fixed-size network's size.
        LayerError
            When the tapped layer gives no grid.
        BackboneError
            When the network fails on these images: too small, or too many for the device's memory.
        """
        require_threads("torch", torch.get_num_threads())
        backbone = self.backbone
        if images.ndim != 4 or len(images) == 0:
            raise ShapeError(
                f"images must be (B, channels, h, w) with B at least 1, got shape {tuple(images.shape)}"
            )
        size = backbone.fixed_size
        if size is not None and tuple(images.shape[2:]) != (size, size):
            height, width = images.shape[2:]
            raise ShapeError(
                f"{backbone.name} takes images of {size} x {size} only, got {height} x {width}; "
                f"set the crop to {size}"
            )
        with ExitStack() as hooks:
            outputs = [
                hooks.enter_context(captured_output(backbone.module.get_submodule(tap.layer))) for tap in taps
            ]
            # Not inference_mode: what a network keeps of a forward pass must serve the user's next backward.
            hooks.enter_context(torch.no_grad())
            hooks.enter_context(evaluating(backbone.module))
            self._run(images)
            grids = [_grid(*of_tap, images.shape) for of_tap in zip(outputs, taps, strict=True)]
            fetched = [self._fetched(grid) for grid in grids]
        return lambda: [waited() for waited in fetched]

    def _fetched(self, grid: torch.Tensor) -> Callable[[], np.ndarray]:
        """Begin to bring activations to the CPU as float32."""
        if self.device.type != "cuda":
            activations = grid.to("cpu", torch.float32).numpy()
            return lambda: activations
        on_device = grid.to(torch.float32)
        on_host = torch.empty_like(on_device, device="cpu", pin_memory=True)
        on_host.copy_(on_device, non_blocking=True)
        arrived = torch.cuda.current_stream(self.device).record_event()

        def waited() -> np.ndarray:
            arrived.synchronize()
            return on_host.numpy()

        return waited

    def _run(self, images: torch.Tensor) -> None:
        """Run the network in the chosen precision, with torch's failures worded."""
        with ExitStack() as settings:
            if self.precision != "fp32":
                settings.enter_context(torch.autocast(self.device.type, PRECISIONS[self.precision]))
            elif self.device.type == "cuda":  # cuDNN would take TF32, with its 10 bits, for fp32
                settings.enter_context(
                    torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
                )
            settings.enter_context(
                failures_worded(
                    self.backbone.name,
                    doing=f"on images of shape {tuple(images.shape)}",
                    hint=_other_channels(self.backbone.module, tuple(images.shape)),
                )
            )
            try:
                self.backbone.module(
                    images.to(self.device, non_blocking=True, memory_format=torch.channels_last)
                )
            except torch.OutOfMemoryError as error:
                raise BackboneError(
                    f"{self.device} has too little memory for {len(images)} images at a time; "
                    "use a smaller batch"
                ) from error


def _other_channels(module: nn.Module, shape: tuple[int, ...]) -> str:
    """Say so where a network's first convolution takes other images than it got."""
    first = next((part for part in module.modules() if isinstance(part, nn.Conv2d)), None)
    if first is None or first.in_channels == shape[1]:
        return ""
    return (
        f"; its first convolution takes {first.in_channels} channels, so give a transform= that makes "
        f"({first.in_channels}, h, w) of an image"
    )


def _grid(outputs: list[Any], tap: Tap, images: torch.Size) -> torch.Tensor:
    """Bring what a hook caught to (B, C, H, W), after the closing nonlinearity."""
    grid = as_grid(outputs, tap, images=images)
    if tap.apply_closing and tap.closing is not None:
        grid = getattr(nn.functional, tap.closing)(grid)
    return grid
