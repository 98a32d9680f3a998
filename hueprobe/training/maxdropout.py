"""MaxDropout: activations near the maximum are zeroed in training."""

from torch import Tensor, nn

from hueprobe.errors import InputError, require_choice

MODES = ("standard", "original")


class MaxDropout(nn.Module):
    """Zero the activations near the maximum [1]_.

    Activations above a threshold are zeroed. Minimum and maximum are those of the whole tensor, over all
    images of the batch::

        x -> 0   where (x - min x) / (max x - min x) > 1 - rate

    The rate is a threshold on the range of values, not a share of units. The other activations are not
    rescaled, and a constant tensor is not changed. The paper applies it after each of ResNet-18's
    layer1 ... layer4.

    Parameters
    ----------
    rate : float, default=0.3
        Between 0 and 1; the authors use 0.3. 0 drops nothing.
    mode : str, default="standard"
        `standard` drops in training only. `original` reproduces the authors' code, which creates a new
        module (in training mode) at every call, and so drops in evaluation, too.

    Raises
    ------
    InputError
        The rate is out of range, or the mode is unknown.

    See Also
    --------
    hueprobe.training.apply_behind : Apply it to the output of layers.
    hueprobe.training.objective_named : Train with MaxDropout by name.

    References
    ----------
    .. [1] C. F. G. Santos, D. Colombo, M. Roder and J. P. Papa, "MaxDropout: Deep Neural Network
       Regularization Based on Maximum Output Values", ICPR, 2020.

    Examples
    --------
    >>> import torch
    >>> hp.training.MaxDropout(0.3)(torch.tensor([0.0, 5.0, 7.0, 8.0, 10.0]))
    tensor([0., 5., 7., 0., 0.])
    """

    def __init__(self, rate: float = 0.3, *, mode: str = "standard") -> None:
        super().__init__()
        if not 0 <= rate <= 1:
            raise InputError(f"rate of MaxDropout is {rate}; it must be between 0 and 1")
        require_choice("mode of MaxDropout", mode, MODES)
        self.rate, self.mode = float(rate), mode

    def forward(self, activations: Tensor) -> Tensor:
        """Return the activations with those near the maximum set to zero.

        Parameters
        ----------
        activations : Tensor
            Activations of any shape.

        Returns
        -------
        Tensor
            Of the same shape.

        Examples
        --------
        >>> import torch
        >>> values = torch.tensor([0.0, 2.0, 9.0, 10.0])
        >>> hp.training.MaxDropout(0.2)(values)
        tensor([0., 2., 0., 0.])
        >>> hp.training.MaxDropout(0.2).eval()(values)
        tensor([ 0.,  2.,  9., 10.])
        """
        if self.rate == 0 or not (self.training or self.mode == "original"):
            return activations
        values = activations.detach()
        low, high = values.min(), values.max()
        # Multiplied out: no division by 0, and no value is above the threshold if all are equal.
        dropped = (values - low > (1 - self.rate) * (high - low)) & (high > low)
        return activations.masked_fill(dropped, 0)

    def extra_repr(self) -> str:
        """Return the settings that `repr` shows."""
        return f"rate={self.rate:g}, mode={self.mode!r}"
