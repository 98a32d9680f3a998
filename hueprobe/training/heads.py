"""The layers after the bottleneck that predict a point on the circle."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from hueprobe.activations.hooks import Tap
from hueprobe.errors import InputError, ShapeError, require_choice
from hueprobe.training.layer_watch import LayerWatch, grid_shape

INPUTS = ("pooled", "flat")
# Below this radius the projection is linear: its gradient is at most 1 / _CENTER, also at the center.
_CENTER = 0.01


class HueHead(nn.Module):
    """Fully connected layers that map a grid of activations to one point per image [1]_.

    The paper does not specify the number of layers, their width, or whether the point is projected to the
    circle. The default is one layer on pooled activations, without projection. The weights are drawn from
    the head's own generator, so a head does not affect other random draws. The head computes in float32,
    also under autocast.

    Parameters
    ----------
    grid : (int, int, int)
        C, H, W of the activations.
    hidden : sequence of int, default=()
        Widths of ReLU layers before the last layer.
    input : str, default="pooled"
        `pooled` is the mean over cells, (B, C), without any position; `flat` is all cells, (B, C*H*W).
    project : bool, default=False
        Project the point to the unit circle. Then `chord` and `l2` have no gradient at the antipode.
    outputs : int, default=2
        Dimensions of the point. The hue loss uses 2, controls use 3 or 8, an auxiliary classifier M.
    seed : int, default=0
        Seed of the weights.

    Raises
    ------
    InputError
        A number is out of range, or the input is unknown.

    See Also
    --------
    hueprobe.training.HueLoss : The loss on the predicted points.
    hueprobe.training.objective_named : Train with the hue loss by name.

    References
    ----------
    .. [1] L.-F. Bouchard, M. Ben Lazreg and M. Toews, "Coloring Deep CNN Layers with Activation Hue
       Loss".

    Examples
    --------
    >>> import torch
    >>> head = hp.training.HueHead((512, 7, 7), seed=0)
    >>> head(torch.rand(8, 512, 7, 7)).shape
    torch.Size([8, 2])
    """

    def __init__(
        self,
        grid: tuple[int, int, int],
        *,
        hidden: Sequence[int] = (),
        input: str = "pooled",
        project: bool = False,
        outputs: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        require_choice("input of the hue head", input, INPUTS)
        for what, number in (("grid", min(grid)), ("hidden", min(hidden, default=1)), ("outputs", outputs)):
            if number < 1:
                raise InputError(f"{what} of the hue head holds {number}; it must be at least 1")
        if seed < 0:
            raise InputError(f"seed is {seed}; it must be 0 or more")
        self.grid, self.input, self.project = tuple(grid), input, project
        widths = [grid[0] if input == "pooled" else math.prod(grid), *hidden, outputs]
        generator = torch.Generator().manual_seed(seed)
        self.layers = nn.Sequential(*[_linear(*pair, generator) for pair in pairwise(widths)])
        self._watch: LayerWatch | None = None
        self.detached = False

    @classmethod
    def behind(
        cls,
        network: nn.Module,
        *,
        layer: str | None = None,
        tap: Tap | None = None,
        image_size: tuple[int, int] = (224, 224),
        detached: bool = False,
        hidden: Sequence[int] = (),
        input: str = "pooled",
        project: bool = False,
        outputs: int = 2,
        seed: int = 0,
    ) -> "HueHead":
        """Return a head that reads a network's bottleneck through a hook; `points` returns its predictions.

        The parameters, the state dict and the outputs of the network do not change. Pass the head's
        parameters to the optimizer, too::

            head = HueHead.behind(network, seed=0)
            loss = cross_entropy(network(images), targets) + hue_loss(head.points(), targets)

        Parameters
        ----------
        network : nn.Module
            The network, whose bottleneck is read.
        layer : str, optional
            Dotted name of another layer, as in `LayerWatch`; the bottleneck by default.
        tap : Tap, optional
            As in `LayerWatch`, instead of `layer`.
        image_size : (int, int), default=(224, 224)
            Height and width of the images. One forward pass of a blank image determines the grid.
        detached : bool, default=False
            A control: the head learns, but its gradient does not reach the network.
        hidden : sequence of int, default=()
            As for the class.
        input : str, default="pooled"
            As for the class.
        project : bool, default=False
            As for the class.
        outputs : int, default=2
            As for the class.
        seed : int, default=0
            As for the class.

        Returns
        -------
        HueHead
            On the device of the network.

        Raises
        ------
        LayerError
            There is no such layer, or its output is not a grid of activations.

        Examples
        --------
        >>> import torch
        >>> head = hp.training.HueHead.behind(network, layer="3", image_size=(64, 64))
        >>> logits = network(torch.zeros(5, 3, 64, 64))
        >>> head.grid, head.points().shape
        ((16, 7, 7), torch.Size([5, 2]))
        >>> head.watch.remove()
        """
        watch = LayerWatch(network, layer, tap=tap)
        try:
            grid = grid_shape(network, watch, image_size)
            head = cls(grid, hidden=hidden, input=input, project=project, outputs=outputs, seed=seed)
        except BaseException:
            watch.remove()
            raise
        head._watch, head.detached = watch, detached
        first = next(iter(network.parameters()), None)
        return head if first is None else head.to(first.device)

    @property
    def watch(self) -> LayerWatch:
        """The watch on the network's layer.

        Raises
        ------
        InputError
            The head is not attached to a network.
        """
        if self._watch is None:
            raise InputError("this HueHead is attached to no network; make it with HueHead.behind(network)")
        return self._watch

    def points(self) -> Tensor:
        """Return the points predicted in the network's last forward pass.

        Returns
        -------
        Tensor of shape (B, outputs)
            One point per image.

        Raises
        ------
        InputError
            The head is not attached to a network.
        LayerError
            The network has not run since the head was attached.

        Examples
        --------
        >>> import torch
        >>> head = hp.training.HueHead.behind(network, layer="3", image_size=(64, 64))
        >>> logits = network(torch.zeros(5, 3, 64, 64))
        >>> head.points().shape
        torch.Size([5, 2])
        >>> head.watch.remove()
        """
        grid = self.watch.grid()
        points: Tensor = self(grid.detach() if self.detached else grid)
        return points

    def forward(self, grid: Tensor) -> Tensor:
        """Return the points for a batch of activations.

        Parameters
        ----------
        grid : Tensor of shape (B, C, H, W)
            Activations of the bottleneck.

        Returns
        -------
        Tensor of shape (B, outputs)
            One point per image.

        Raises
        ------
        ShapeError
            The activations do not have the shape that the head was made for.

        Examples
        --------
        >>> import torch
        >>> head = hp.training.HueHead((16, 7, 7), hidden=[8], project=True)
        >>> points = head(torch.rand(5, 16, 7, 7))
        >>> points.norm(dim=1).round(decimals=3).tolist()  # on the unit circle
        [1.0, 1.0, 1.0, 1.0, 1.0]
        """
        if (
            grid.ndim != 4
            or grid.shape[1] != self.grid[0]
            or (self.input == "flat" and grid.shape[1:] != self.grid)
        ):
            raise ShapeError(
                f"activations have shape {tuple(grid.shape)}, but this head was made for (B, "
                f"{', '.join(map(str, self.grid))}); use images of one size, or input='pooled'"
            )
        with torch.autocast(grid.device.type, enabled=False):
            values = grid.to(next(self.parameters()).dtype)
            values = values.mean((2, 3)) if self.input == "pooled" else values.flatten(1)
            for layer in self.layers[:-1]:
                values = nn.functional.relu(layer(values))
            values = self.layers[-1](values)
            return on_circle(values) if self.project else values


def on_circle(points: Tensor) -> Tensor:
    """Project points (B, D) to the unit circle or sphere; within 0.01 of the center they are scaled by 100.

    >>> on_circle(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    length: Tensor = torch.linalg.vector_norm(points, dim=-1, keepdim=True)
    return points / length.clamp_min(_CENTER)


def _linear(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    """Return a linear layer initialized as PyTorch does, uniform in +-1/sqrt(n_in), from `generator`."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, n_in, n_out)
    bound = 1 / math.sqrt(n_in)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer
