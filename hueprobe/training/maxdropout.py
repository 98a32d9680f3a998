"""MaxDropout: the activations near the largest are zeroed in training."""

from torch import Tensor, nn

from hueprobe.errors import InputError, require_choice

MODES = ("standard", "original")


class MaxDropout(nn.Module):
    """Zero the activations near the largest (Santos et al., ICPR 2020).

    What is above the threshold goes, min and max being over the whole tensor, all images of the batch::

        x -> 0   where (x - min x) / (max x - min x) > 1 - rate

    The rate is a threshold on the range, not a share of units; the rest is not rescaled, and a constant
    tensor is left alone. In the paper it stands behind each of ResNet-18's layer1 ... layer4.

    Parameters
    ----------
    rate : float
        Between 0 and 1; .3 is the authors'. 0 drops nothing.
    mode : str
        `standard` drops in training only. `original` does what the authors' code does, which makes a fresh
        module (in training mode) at every call, and so drops in evaluation too.

    Raises
    ------
    InputError
        A rate out of range, or an unknown mode.

    Examples
    --------
    >>> import torch
    >>> MaxDropout(0.3)(torch.tensor([0.0, 5.0, 7.0, 8.0, 10.0]))
    tensor([0., 5., 7., 0., 0.])
    """

    def __init__(self, rate: float = 0.3, *, mode: str = "standard") -> None:
        super().__init__()
        if not 0 <= rate <= 1:
            raise InputError(f"rate of MaxDropout is {rate}; it must be between 0 and 1")
        require_choice("mode of MaxDropout", mode, MODES)
        self.rate, self.mode = float(rate), mode

    def forward(self, activations: Tensor) -> Tensor:
        """Return the activations with those near the largest zeroed; any shape."""
        if self.rate == 0 or not (self.training or self.mode == "original"):
            return activations
        values = activations.detach()
        low, high = values.min(), values.max()
        # Multiplied out: nothing is above the threshold where all are equal, and no division by 0.
        dropped = (values - low > (1 - self.rate) * (high - low)) & (high > low)
        return activations.masked_fill(dropped, 0)

    def extra_repr(self) -> str:
        """Say how it drops."""
        return f"rate={self.rate:g}, mode={self.mode!r}"
