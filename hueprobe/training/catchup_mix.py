"""Catch-up Mix: pairs of images mixed at the input, or by channels after a layer."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hueprobe.activations.hooks import require_layer
from hueprobe.errors import InputError, LayerError

Criterion = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class MixedBatch:
    """A batch in which each image is mixed with a partner, at the input or after a layer.

    Attributes
    ----------
    images : Tensor of shape (B, 3, h, w)
        Input of the network.
    targets, partners : Tensor of int64, shape (B,)
        Class of each image and of its partner.
    share : float
        Weight of the image's own class in the label; that of the partner's class is 1 - share.
    layer : str
        Name of the layer after which the images are mixed; '' is the input.

    See Also
    --------
    hueprobe.training.CatchUpMix : Makes mixed batches.

    Examples
    --------
    >>> import torch
    >>> images, targets, partners = torch.zeros(2, 3, 8, 8), torch.tensor([0, 1]), torch.tensor([1, 0])
    >>> mixed = hp.training.MixedBatch(images, targets, partners, share=0.7, layer="")
    >>> mixed.share, mixed.partners.tolist()
    (0.7, [1, 0])
    """

    images: Tensor
    targets: Tensor
    partners: Tensor
    share: float
    layer: str

    def loss(self, criterion: Criterion, logits: Tensor) -> Tensor:
        """Return the criterion for both classes, weighted by their shares.

        Parameters
        ----------
        criterion : callable
            Maps logits (B, M) and targets (B,) to a scalar, for example `nn.CrossEntropyLoss()`.
        logits : Tensor of shape (B, M)
            Output of the network for `images`.

        Returns
        -------
        Tensor of shape ()
            The mixed loss.

        Examples
        --------
        >>> import torch
        >>> images, targets, partners = torch.zeros(2, 3, 8, 8), torch.tensor([0, 1]), torch.tensor([1, 0])
        >>> mixed = hp.training.MixedBatch(images, targets, partners, share=0.7, layer="")
        >>> def error(logits, classes):
        ...     return (logits.argmax(1) != classes).float().mean()
        >>> mixed.loss(error, torch.eye(2))  # right for the images, wrong for their partners
        tensor(0.3000)
        """
        own, other = criterion(logits, self.targets), criterion(logits, self.partners)
        return self.share * own + (1 - self.share) * other


class CatchUpMix:
    """Mix pairs of images so that weak filters catch up [1]_.

    The implementation follows the paper's description, since no code by the authors is known. For each
    batch, one place is drawn at random: the input, or one of the layers. Mixing at the input is CutMix: a
    box from the partner, with the label mixed by area. Mixing at a layer is by channels. Each channel's L2
    norm over the map is divided by the sum over the image's channels. A filter's relative influence is the
    value of the image minus that of its partner. The floor(lambda C) channels of lowest influence are kept
    and the others come from the partner. The label is mixed with lambda, which is drawn from
    Beta(alpha, alpha) once per batch. No gradient passes through the choice of channels::

        mix = CatchUpMix(network, ["layer1", "layer2", "layer3", "layer4"])
        mixed = mix.start(images, targets)
        loss = mixed.loss(cross_entropy, network(mixed.images))

    Parameters
    ----------
    network : nn.Module
        Network to regularize; it is not changed apart from the hooks.
    layers : sequence of str
        Dotted names of the stages, whose outputs are (B, C, H, W).
    alpha : float, default=1.0
        Parameter of the Beta distribution, above 0; the paper uses 1.
    at_input : bool, default=True
        Whether the input is among the places.
    seed : int, default=0
        Seed of all draws. `start_epoch` restarts them for each epoch, so a resumed run draws the same.

    Raises
    ------
    LayerError
        The network does not have one of the layers.
    InputError
        A number is out of range, or there is no place at all.

    See Also
    --------
    hueprobe.training.MixedBatch : The images and labels of a mixed batch.
    hueprobe.training.objective_named : Train with Catch-up Mix by name.

    References
    ----------
    .. [1] M. Kang, M. Kang and S. Kim, "Catch-Up Mix: Catch-Up Class for Struggling Filters in CNN",
       AAAI, 2024.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> net = nn.Sequential(
    ...     nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    ... )
    >>> mix = hp.training.CatchUpMix(net, ["1"])
    >>> mixed = mix.start(torch.rand(4, 3, 16, 16), torch.tensor([0, 1, 2, 0]))
    >>> mixed.loss(nn.functional.cross_entropy, net(mixed.images)).shape
    torch.Size([])
    >>> mix.remove()
    """

    def __init__(
        self,
        network: nn.Module,
        layers: Sequence[str],
        *,
        alpha: float = 1.0,
        at_input: bool = True,
        seed: int = 0,
    ) -> None:
        if isinstance(layers, str) or not (layers or at_input):
            raise InputError(f"layers is {layers!r}; give a list with at least one layer's name")
        if not (math.isfinite(alpha) and alpha > 0):
            raise InputError(f"alpha of Catch-up Mix is {alpha}; it must be a finite number above 0")
        if seed < 0:
            raise InputError(f"seed is {seed}; it must be 0 or more")
        self.places = (*([""] if at_input else []), *layers)
        self.alpha, self.seed = alpha, seed
        self._armed: tuple[str, Tensor, float] | None = None
        name = f"network {type(network).__name__}"
        targets = [(layer, require_layer(network, layer, name=name)) for layer in layers]
        self._handles = [target.register_forward_hook(self._hook(layer)) for layer, target in targets]
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Restart the random draws for an epoch.

        Parameters
        ----------
        epoch : int
            Epoch, counted from 0.

        Examples
        --------
        >>> import torch
        >>> from torch import nn
        >>> net = nn.Sequential(
        ...     nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
        ... )
        >>> mix = hp.training.CatchUpMix(net, ["1"], seed=0)
        >>> images, targets = torch.rand(4, 3, 16, 16), torch.tensor([0, 1, 2, 0])
        >>> mix.start_epoch(5)
        >>> share = mix.start(images, targets).share
        >>> mix.start_epoch(5)  # the same draws again
        >>> mix.start(images, targets).share == share
        True
        """
        self._rng = np.random.default_rng((self.seed, epoch))

    def remove(self) -> None:
        """Remove the hooks from the network.

        Examples
        --------
        >>> import torch
        >>> from torch import nn
        >>> net = nn.Sequential(
        ...     nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
        ... )
        >>> mix = hp.training.CatchUpMix(net, ["1"])
        >>> mix.remove()
        >>> len(net[1]._forward_hooks)
        0
        """
        for handle in self._handles:
            handle.remove()

    def start(self, images: Tensor, targets: Tensor) -> MixedBatch:
        """Draw place, partners and lambda for a batch, and prepare the layer for the next forward pass.

        Parameters
        ----------
        images : Tensor of shape (B, 3, h, w)
            The images; they are mixed here if the place is the input.
        targets : Tensor of int64, shape (B,)
            Class of each image.

        Returns
        -------
        MixedBatch
            Input of the network, and the label of each image.

        Examples
        --------
        >>> import torch
        >>> from torch import nn
        >>> net = nn.Sequential(
        ...     nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
        ... )
        >>> mix = hp.training.CatchUpMix(net, ["1"], seed=0)
        >>> images, targets = torch.rand(4, 3, 16, 16), torch.tensor([0, 1, 2, 0])
        >>> mixed = mix.start(images, targets)
        >>> mixed.images.shape, mixed.layer in ("", "1"), 0 <= mixed.share <= 1
        (torch.Size([4, 3, 16, 16]), True, True)
        """
        place = self.places[int(self._rng.integers(len(self.places)))]
        share = float(self._rng.beta(self.alpha, self.alpha))
        partner = torch.from_numpy(self._rng.permutation(len(images))).to(images.device)
        if place:
            self._armed = (place, partner, share)
        else:
            self._armed = None
            images, share = self._cut(images, partner, share)
        return MixedBatch(images, targets, targets[partner], share, place)

    def _cut(self, images: Tensor, partner: Tensor, share: float) -> tuple[Tensor, float]:
        """CutMix (Yun et al. 2019): the partner's box of 1 - share of the area, clipped at the border."""
        height, width = images.shape[2:]
        side = math.sqrt(1 - share)
        box = []
        for length in (height, width):
            middle, half = int(self._rng.integers(length)), int(length * side) // 2
            box.append(slice(max(middle - half, 0), min(middle + half, length)))
        mixed = images.clone()
        mixed[:, :, box[0], box[1]] = images[partner][:, :, box[0], box[1]]
        area = (box[0].stop - box[0].start) * (box[1].stop - box[1].start)
        return mixed, 1 - area / (height * width)

    def _hook(self, layer: str) -> Callable[[nn.Module, Any, Any], Tensor | None]:
        def mix(module: nn.Module, _inputs: Any, output: Any) -> Tensor | None:
            if self._armed is None or self._armed[0] != layer or not module.training:
                return None
            _, partner, share = self._armed
            self._armed = None
            if not isinstance(output, Tensor) or output.ndim != 4:
                shape = (
                    f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else type(output).__name__
                )
                raise LayerError(f"layer {layer!r} gives {shape}; Catch-up Mix needs maps (B, C, H, W)")
            return mix_channels(output, partner, share)

        return mix


def mix_channels(activations: Tensor, partner: Tensor, share: float) -> Tensor:
    """Keep the floor(share C) channels of lowest relative influence; take the others from the partner.

    Parameters
    ----------
    activations : Tensor of shape (B, C, H, W)
        Output of a layer.
    partner : Tensor of int64, shape (B,)
        Row of each image's partner.
    share : float
        lambda, between 0 and 1.

    Returns
    -------
    Tensor of shape (B, C, H, W)
        The mixed activations.
    """
    with torch.no_grad():
        norms = torch.linalg.vector_norm(activations.float(), dim=(2, 3))  # (B, C)
        norms = norms / norms.sum(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
        influence = norms - norms[partner]
        order = influence.argsort(dim=1, stable=True)
        n_kept = math.floor(share * activations.shape[1])
        kept = torch.zeros_like(influence, dtype=torch.bool).scatter_(1, order[:, :n_kept], True)
    return torch.where(kept[:, :, None, None], activations, activations[partner])
