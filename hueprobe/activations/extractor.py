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
    """Run images through a backbone and return the activations of its tapped layer.

    The network is hooked, never patched, and only during a call. Several extractors may share one
    network. Creating an extractor moves the network to the device (memory format channels_last),
    where it stays. It runs in eval mode; every sub-module's training flag is restored after a call.

    Parameters
    ----------
    backbone : Backbone
        Network and tapped layer, from `hueprobe.activations.load_backbone`.
    device : str, default='auto'
        Device to run on: `auto` (CUDA, else MPS, else CPU), `cpu`, `cuda`, `cuda:<i>` or `mps`.
    precision : str, default='fp32'
        `fp32` (without TF32), or autocast to `bf16` or `fp16`. If the device does not support it,
        a HueprobeWarning is issued and fp32 is used.

    Attributes
    ----------
    device : torch.device
        Device that the network runs on.
    device_kind : str
        `cpu`, `cuda` or `mps`.
    precision : str
        Precision in use.

    See Also
    --------
    hueprobe.activations.load_backbone : Create the backbone.
    hueprobe.activations.describe : Pool the activations of an image.
    hueprobe.build_memory : Extract and store the activations of many images.

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
        """Suitable `ahead` and `pinned` for `load_batches`; a CPU has no spare core to decode ahead."""
        return {"ahead": 0 if self.device_kind == "cpu" else 2, "pinned": self.device_kind == "cuda"}

    def __call__(self, images: torch.Tensor) -> np.ndarray:
        """Return the activations of a batch at the backbone's layer.

        Parameters
        ----------
        images : Tensor of shape (B, channels, h, w)
            Batch of images after the backbone's transform, on any device.

        Returns
        -------
        ndarray of shape (B, C, H, W), float32
            Activations after the closing nonlinearity, in the network's own memory order.

        Raises
        ------
        ShapeError, LayerError, BackboneError
            As in `begin`.
        """
        return self.at([self.backbone], images)[0]

    def at(self, taps: Sequence[Tap], images: torch.Tensor) -> list[np.ndarray]:
        """Return the activations of a batch at several layers, from one forward pass.

        Parameters
        ----------
        taps : sequence of Tap
            Layers of the backbone's network, such as the backbones from `load_backbones`.
        images : Tensor of shape (B, channels, h, w)
            Batch of images after the backbone's transform, on any device.

        Returns
        -------
        list of ndarray of shape (B, C, H, W), float32
            Activations of each tap, in the order of `taps`.

        Raises
        ------
        ShapeError, LayerError, BackboneError
            As in `begin`.

        Examples
        --------
        >>> from hueprobe.activations import load_backbones
        >>> taps = load_backbones(network, layers=["1", "3"], transform=transform)
        >>> extractor = Extractor(taps[0], device="cpu")
        >>> [activations.shape for activations in extractor.at(taps, torch.zeros(2, 3, 64, 64))]
        [(2, 8, 15, 15), (2, 16, 7, 7)]
        """
        return self.begin(taps, images)()

    def begin(self, taps: Sequence[Tap], images: torch.Tensor) -> Callable[[], list[np.ndarray]]:
        """Start a batch, and return a function that waits for its activations.

        On CUDA, both transfers overlap with computation if the caller starts the next batch before
        waiting for this one. The transfer to the device overlaps only if `images` are in pinned memory.

        Parameters
        ----------
        taps : sequence of Tap
            Layers of the backbone's network.
        images : Tensor of shape (B, channels, h, w)
            Batch of images after the backbone's transform, on any device and of any size that the
            network accepts.

        Returns
        -------
        callable
            Returns a list of ndarray of shape (B, C, H, W), float32, one per tap: activations after
            the closing nonlinearity, in the network's own memory order.

        Raises
        ------
        ShapeError
            If images are not a batch, or not of the size that a fixed-size network requires.
        LayerError
            If the output of a tapped layer is not a grid.
        BackboneError
            If the network fails on these images: too small, or too many for the device's memory.

        Examples
        --------
        >>> from hueprobe.activations import load_backbone
        >>> backbone = load_backbone(network, layer="3", transform=transform)
        >>> wait = Extractor(backbone, device="cpu").begin([backbone], torch.zeros(2, 3, 64, 64))
        >>> wait()[0].shape
        (2, 16, 7, 7)
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
            whole = "" if height == width else ", and fit to 'squash' or 'pad' to keep whole images"
            raise ShapeError(
                f"{backbone.name} accepts images of {size} x {size} only, got {height} x {width}; "
                f"set the crop to {size}{whole}"
            )
        with ExitStack() as hooks:
            outputs = [
                hooks.enter_context(captured_output(backbone.module.get_submodule(tap.layer))) for tap in taps
            ]
            # Not inference_mode: tensors that a network caches must work in the user's next backward pass.
            hooks.enter_context(torch.no_grad())
            hooks.enter_context(evaluating(backbone.module))
            self._run(images)
            grids = [_grid(*of_tap, images.shape) for of_tap in zip(outputs, taps, strict=True)]
            fetched = [self._fetched(grid) for grid in grids]
        return lambda: [waited() for waited in fetched]

    def _fetched(self, grid: torch.Tensor) -> Callable[[], np.ndarray]:
        """Start copying activations to the CPU as float32."""
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
        """Run the network in the chosen precision; failures become one-line errors."""
        with ExitStack() as settings:
            if self.precision != "fp32":
                settings.enter_context(torch.autocast(self.device.type, PRECISIONS[self.precision]))
            elif self.device.type == "cuda":  # cuDNN would use TF32, with its 10-bit mantissa, for fp32
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
    """Return a hint if a network's first convolution expects another number of channels, else ''."""
    first = next((part for part in module.modules() if isinstance(part, nn.Conv2d)), None)
    if first is None or first.in_channels == shape[1]:
        return ""
    return (
        f"; its first convolution expects {first.in_channels} channels, so pass a transform= that returns "
        f"({first.in_channels}, h, w)"
    )


def _grid(outputs: list[Any], tap: Tap, images: torch.Size) -> torch.Tensor:
    """Convert a hook's output to (B, C, H, W), after the closing nonlinearity."""
    grid = as_grid(outputs, tap, images=images)
    if tap.apply_closing and tap.closing is not None:
        grid = getattr(nn.functional, tap.closing)(grid)
    return grid
