"""The hue loss, Eq. (4) and (5): class labels as points on the unit circle."""

import math

import torch
from torch import Tensor, nn

from hueprobe.errors import InputError, ShapeError, require_choice

VARIANTS = ("eq5", "chord", "l2")


def hue_labels(num_classes: int, seed: int) -> Tensor:
    """Assign equally spaced angles to the classes at random, as points on the unit circle [1]_.

    Parameters
    ----------
    num_classes : int
        Number of classes M, at least 2.
    seed : int
        Seed of the assignment, 0 or more; torch's global generator is not changed.

    Returns
    -------
    Tensor of shape (M, 2), float32
        Points (tx_c, ty_c) on the unit circle; the angles are 2 pi m / M.

    Raises
    ------
    InputError
        There are fewer than two classes, or the seed is negative.

    See Also
    --------
    hueprobe.training.spread_labels : A control with points on a sphere.
    hueprobe.training.HueLoss : The loss with these labels.

    References
    ----------
    .. [1] L.-F. Bouchard, M. Ben Lazreg and M. Toews, "Coloring Deep CNN Layers with Activation Hue
       Loss".

    Examples
    --------
    >>> points = hp.training.hue_labels(4, seed=0)
    >>> sorted(points.round(decimals=3).add(0.0).tolist())
    [[-1.0, 0.0], [0.0, -1.0], [0.0, 1.0], [1.0, 0.0]]
    """
    _require(num_classes, seed)
    generator = torch.Generator().manual_seed(seed)
    places = torch.randperm(num_classes, generator=generator).to(torch.float64)
    angles = 2 * math.pi * places / num_classes
    return torch.stack((angles.cos(), angles.sin()), 1).float()


def spread_labels(num_classes: int, seed: int, *, dimensions: int) -> Tensor:
    """Assign a random point on the unit sphere to each class: a control for the circle of `hue_labels`.

    In three or more dimensions, equally spaced points do not exist in general. So the points are drawn
    uniformly at random and then pushed apart, with forces of the inverse square of their distances.

    Parameters
    ----------
    num_classes : int
        Number of classes M, at least 2.
    seed : int
        Seed of the draw, 0 or more.
    dimensions : int
        Dimensions of the space, 2 or more; 2 returns `hue_labels`.

    Returns
    -------
    Tensor of shape (M, dimensions), float32
        A point for each class.

    Raises
    ------
    InputError
        A number is out of range.

    See Also
    --------
    hueprobe.training.hue_labels : Points on the circle.

    Examples
    --------
    >>> points = hp.training.spread_labels(4, seed=0, dimensions=3)
    >>> distances = (points[:, None] - points).norm(dim=2)
    >>> distances[0, 1:].round(decimals=2)  # a tetrahedron
    tensor([1.6300, 1.6300, 1.6300])
    """
    if dimensions < 2:
        raise InputError(f"dimensions is {dimensions}; it must be at least 2")
    if dimensions == 2:
        return hue_labels(num_classes, seed)
    _require(num_classes, seed)
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(num_classes, dimensions, generator=generator, dtype=torch.float64)
    points = nn.functional.normalize(points, dim=1)
    step = 0.5 / num_classes ** (1 + 1 / (dimensions - 1))
    for _ in range(200):
        apart = points[:, None] - points[None]
        distance = torch.linalg.vector_norm(apart, dim=2, keepdim=True).clamp_min(1e-6)
        points = nn.functional.normalize(points + step * (apart / distance**3).sum(1), dim=1)
    return points.float()


class HueLoss(nn.Module):
    """Pull the predicted point of each image towards the point of its class: the hue loss [1]_.

    For M classes, let d_c be the distance between the predicted point (tx', ty') and the point of class c,
    (tx_c, ty_c). Then Eq. (5) and the second half of Eq. (4) are::

        eq5     -log softmax(-d / (2 M))_c        as printed
        chord   -log softmax(-d)_c                without the 1 / (2 M)
        l2      d_c^2                             the "L2 distance" of the paper's text

    Taken literally, `eq5` varies only by about 1/M around log M. Its gradient is 1/(2M) at the circle's
    center and at most 0.82/M inside the circle. Unlike the gradient of cross-entropy, it does not vanish
    during training.

    Parameters
    ----------
    labels : Tensor of shape (M, D)
        A point for each class, as returned by `hue_labels`.
    variant : str, default="eq5"
        `eq5`, `chord` or `l2`.
    weight : float, default=1.0
        Factor of the loss, 0 or more; the paper uses 1.

    Raises
    ------
    InputError
        The variant is unknown, there are fewer than two classes, or labels or weight are not finite.
    ShapeError
        The labels are not a matrix.

    See Also
    --------
    hueprobe.training.hue_labels : The points of the classes.
    hueprobe.training.HueHead : Predicts the points.
    hueprobe.training.objective_named : Train with the hue loss by name.

    References
    ----------
    .. [1] L.-F. Bouchard, M. Ben Lazreg and M. Toews, "Coloring Deep CNN Layers with Activation Hue
       Loss".

    Examples
    --------
    >>> import torch
    >>> loss = hp.training.HueLoss(hp.training.hue_labels(10, seed=0), variant="eq5")
    >>> round(float(loss(torch.zeros(3, 2), torch.tensor([0, 4, 9]))), 4)  # log 10: all distances are 1
    2.3026
    """

    labels: Tensor

    def __init__(self, labels: Tensor, *, variant: str = "eq5", weight: float = 1.0) -> None:
        super().__init__()
        require_choice("variant of the hue loss", variant, VARIANTS)
        labels = torch.as_tensor(labels)
        if labels.ndim != 2 or labels.shape[1] < 2:
            raise ShapeError(
                f"labels have shape {tuple(labels.shape)}; give a point (2 numbers) for each class"
            )
        if len(labels) < 2:
            raise InputError(f"there are labels for {len(labels)} classes; the hue loss needs at least 2")
        if not labels.is_floating_point() or not bool(torch.isfinite(labels).all()):
            raise InputError("labels must be finite floating-point numbers, as hue_labels returns them")
        if not (math.isfinite(weight) and weight >= 0):
            raise InputError(f"weight is {weight}; it must be a finite number, 0 or more")
        self.register_buffer("labels", labels.detach().clone(), persistent=False)
        self.variant, self.weight = variant, float(weight)

    def forward(self, points: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss over the batch, times the weight.

        Parameters
        ----------
        points : Tensor of shape (B, D)
            Predicted points. The loss is computed in float32 or higher: half precision cannot resolve the
            distances of `eq5`, which differ by less than 1/M.
        targets : Tensor of int64, shape (B,)
            Class of each image, 0 to M - 1.

        Returns
        -------
        Tensor of shape ()
            The loss.

        Raises
        ------
        ShapeError
            The shapes do not fit each other.
        InputError
            A target is not a class number.

        Examples
        --------
        >>> import torch
        >>> labels = hp.training.hue_labels(4, seed=0)
        >>> loss = hp.training.HueLoss(labels, variant="l2")
        >>> targets = torch.tensor([2, 0])
        >>> loss(labels[targets], targets), loss(-labels[targets], targets)  # best and worst points
        (tensor(0.), tensor(4.))
        """
        require_targets(targets, len(self.labels))
        if points.shape != (len(targets), self.labels.shape[1]):
            raise ShapeError(
                f"points have shape {tuple(points.shape)}; need {(len(targets), self.labels.shape[1])} for "
                f"{len(targets)} targets and labels of {self.labels.shape[1]} dimensions"
            )
        with torch.autocast(points.device.type, enabled=False):
            dtype = torch.promote_types(points.dtype, torch.float32)
            points, labels = points.to(dtype), self.labels.to(dtype)
            if self.variant == "l2":
                return self.weight * (points - labels[targets]).square().sum(1).mean()
            # vector_norm has a gradient of 0 where a point lies on a label, not NaN as sqrt has.
            distances = torch.linalg.vector_norm(points[:, None] - labels, dim=2)  # (B, M)
            if self.variant == "eq5":
                distances = distances / (2 * len(labels))
            return self.weight * nn.functional.cross_entropy(-distances, targets)

    def extra_repr(self) -> str:
        """Return the settings that `repr` shows."""
        return f"classes={len(self.labels)}, variant={self.variant!r}, weight={self.weight:g}"


def require_targets(targets: Tensor, num_classes: int) -> None:
    """Raise unless targets are (B,) int64 in 0 to num_classes - 1.

    On a GPU the values are not checked here, which would synchronize, but by the kernel itself.
    """
    if targets.ndim != 1 or not len(targets):
        raise ShapeError(f"targets have shape {tuple(targets.shape)}; give one class number per image, (B,)")
    if targets.dtype != torch.int64:
        raise InputError(f"targets are {targets.dtype}; class numbers must be torch.int64")
    if targets.device.type == "cpu":
        low, high = int(targets.min()), int(targets.max())
        if low < 0 or high >= num_classes:
            raise InputError(
                f"target {low if low < 0 else high} is not a class number; with {num_classes} classes they "
                f"range from 0 to {num_classes - 1}"
            )


def _require(num_classes: int, seed: int) -> None:
    if num_classes < 2:
        raise InputError(f"num_classes is {num_classes}; class labels need at least 2")
    if seed < 0:
        raise InputError(f"seed is {seed}; it must be 0 or more")
