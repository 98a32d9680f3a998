"""The layers behind the bottleneck that predict a point of the circle."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from hueprobe.activations.hooks import Tap
from hueprobe.errors import InputError, ShapeError, require_choice
from hueprobe.training.layer_watch import LayerWatch, grid_shape

INPUTS = ("pooled", "flat")
# Below this radius the projection is linear: its gradient is at most 1 / _CENTRE, at the center too.
_CENTRE = 0.01


class HueHead(nn.Module):
    """Fully connected layers from a grid of activations to one point for each image.

    The paper says neither how many layers there are, how wide, nor whether the point is projected to the
    circle: by default one layer on pooled activations, not projected. Weights come from the head's own
    generator, so a head changes nothing else that is drawn. It computes in float32, also under autocast.

    Parameters
    ----------
    grid : (int, int, int)
        C, H, W of the activations it will get.
    hidden : sequence of int
        Widths of ReLU layers before the last; none by default.
    input : str
        `pooled`: the mean over cells, (B, C), which knows no place; `flat`: all cells, (B, C*H*W).
    project : bool
        Put the point on the unit circle. Then `chord` and `l2` have no gradient at the antipode.
    outputs : int
        Dimensions of the point: 2; others are controls (3, 8), and M an auxiliary classifier.
    seed : int
        Of the weights.

    Raises
    ------
    InputError
        A number is out of range, or an unknown input.

    Examples
    --------
    >>> head = HueHead((512, 7, 7), seed=0)
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
        """Return a head that reads a network's bottleneck by a hook; `points` gives what it predicts.

        The network stays as it is: its parameters, state dict and results do not change. Give the head's
        parameters to the optimizer too::

            head = HueHead.behind(network, seed=0)
            loss = cross_entropy(network(images), targets) + hue_loss(head.points(), targets)

        Parameters
        ----------
        network : nn.Module
        layer : str, optional
        tap : Tap, optional
            As in `LayerWatch`; the bottleneck by default.
        image_size : (int, int)
            Height and width of the images; one pass over an empty one tells the grid.
        detached : bool
            A control: the head learns, and no gradient goes from it into the network.
        hidden : sequence of int
        input : str
        project : bool
        outputs, seed : int
            As for the class.

        Raises
        ------
        LayerError
            There is no such layer, or its output is no grid of activations.
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
            The head stands behind no network.
        """
        if self._watch is None:
            raise InputError("this HueHead stands behind no network; make it with HueHead.behind(network)")
        return self._watch

    def points(self) -> Tensor:
        """Return the points (B, outputs) for the network's last forward pass.

        Raises
        ------
        InputError
            The head stands behind no network.
        LayerError
            The network has not run since.
        """
        grid = self.watch.grid()
        points: Tensor = self(grid.detach() if self.detached else grid)
        return points

    def forward(self, grid: Tensor) -> Tensor:
        """Return the points (B, outputs) for activations (B, C, H, W)."""
        if (
            grid.ndim != 4
            or grid.shape[1] != self.grid[0]
            or (self.input == "flat" and grid.shape[1:] != self.grid)
        ):
            raise ShapeError(
                f"activations have shape {tuple(grid.shape)}, this head was made for (B, "
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
    """Project points (B, D) to the unit circle or sphere; within .01 of the center they are scaled by 100.

    >>> on_circle(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    length: Tensor = torch.linalg.vector_norm(points, dim=-1, keepdim=True)
    return points / length.clamp_min(_CENTRE)


def _linear(n_in: int, n_out: int, generator: torch.Generator) -> nn.Linear:
    """Return a linear layer initialized as PyTorch does, uniform in +-1/sqrt(n_in), from `generator`."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, n_in, n_out)
    bound = 1 / math.sqrt(n_in)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer
