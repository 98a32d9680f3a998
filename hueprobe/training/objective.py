"""The objective of a training run: a network, its criterion, and any number of additional terms."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hueprobe.errors import InputError, ShapeError
from hueprobe.training.catchup_mix import CatchUpMix
from hueprobe.training.layer_watch import LayerWatch
from hueprobe.training.losses import require_targets

CLASS_TERM = "class"


class Objective(nn.Module):
    """A network, its criterion, and named terms that read the network's last forward pass.

    The training loop calls the objective on images and targets and sums the terms that it returns.

    Parameters
    ----------
    network : nn.Module
        Maps images (B, 3, h, w) to logits (B, M).
    criterion : nn.Module, optional
        Maps logits and targets to a scalar; `nn.CrossEntropyLoss()` by default.
    terms : mapping of str to callable, optional
        Each maps the targets (B,) to a scalar, after the network has run; no terms by default.
    modules : mapping of str to nn.Module, optional
        Modules trained together with the network, such as a HueHead. Their parameters are optimized and
        saved in checkpoints. None by default.
    mixing : CatchUpMix, optional
        Mixes each batch; the terms get the unmixed targets. No mixing by default.
    watch : LayerWatch, optional
        The bottleneck, where the gradients of the terms are compared; no comparison by default.
    name : str, default="onehot"
        Name of the objective; a checkpoint is resumed only under the same name.

    Raises
    ------
    InputError
        A term is called "class", which is the name of the criterion's term.

    See Also
    --------
    hueprobe.training.objective_named : Objectives by name.
    hueprobe.training.train : Minimize an objective.

    Examples
    --------
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    >>> al2 = hp.training.AL2.before(net)
    >>> objective = hp.training.Objective(
    ...     net, terms={"al2": lambda targets: al2.penalty()}, modules={"al2": al2}, name="onehot+al2"
    ... )
    >>> objective.start_epoch(1)  # the weight of AL2 grows
    >>> round(al2.weight, 4)
    0.011
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        criterion: nn.Module | None = None,
        terms: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
        modules: Mapping[str, nn.Module] | None = None,
        mixing: CatchUpMix | None = None,
        watch: LayerWatch | None = None,
        name: str = "onehot",
    ) -> None:
        super().__init__()
        if CLASS_TERM in (terms or {}):
            raise InputError(
                f"a term is called {CLASS_TERM!r}, which is the criterion's name; choose another name"
            )
        self.network = network
        self.criterion = criterion or nn.CrossEntropyLoss()
        self.beside = nn.ModuleDict(modules or {})
        self.terms, self.mixing, self.watch, self.name = dict(terms or {}), mixing, watch, name
        self._started: tuple[Any, ...] = tuple(
            part for part in (mixing, *self.beside.values()) if hasattr(part, "start_epoch")
        )

    def forward(self, images: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return the terms by name; "class" is the term of the criterion.

        Parameters
        ----------
        images : Tensor of shape (B, 3, h, w)
            Normalized images.
        targets : Tensor of int64, shape (B,)
            Class of each image.

        Returns
        -------
        dict of str to Tensor of shape ()
            The terms, whose sum is the loss.

        Raises
        ------
        ShapeError
            The network's output is not logits (B, M), or the targets have another shape.
        InputError
            A target is not a class number.

        Examples
        --------
        >>> import torch
        >>> objective = hp.training.Objective(network, terms={"constant": lambda targets: torch.tensor(0.5)})
        >>> terms = objective(torch.zeros(2, 3, 64, 64), torch.tensor([0, 2]))
        >>> sorted(terms), terms["constant"]
        (['class', 'constant'], tensor(0.5000))
        """
        if self.mixing is None or not self.training:
            found = {CLASS_TERM: self.criterion(self._logits(images, targets), targets)}
        else:
            mixed = self.mixing.start(images, targets)
            found = {CLASS_TERM: mixed.loss(self.criterion, self._logits(mixed.images, targets))}
        return found | {name: term(targets) for name, term in self.terms.items()}

    def _logits(self, images: Tensor, targets: Tensor) -> Tensor:
        logits = self.network(images)
        if not isinstance(logits, Tensor) or logits.ndim != 2:
            shape = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
            raise ShapeError(f"the network returns {shape}; for training it must return logits (B, classes)")
        require_targets(targets, logits.shape[1])
        return logits

    def start_epoch(self, epoch: int) -> None:
        """Start an epoch in all parts that follow a schedule or draw at random.

        Parameters
        ----------
        epoch : int
            Epoch, counted from 0.

        Examples
        --------
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> al2 = hp.training.AL2.before(net)
        >>> hp.training.Objective(net, modules={"al2": al2}).start_epoch(99)
        >>> round(al2.weight, 2)
        7.49
        """
        for part in self._started:
            part.start_epoch(epoch)


def gradient_shares(terms: Mapping[str, Tensor], at: Tensor) -> dict[str, float]:
    """Return each term's share of the summed gradient norms at a layer's output.

    Parameters
    ----------
    terms : mapping of str to Tensor
        Scalars of one forward pass. Their graph is kept, and gradients of parameters do not change.
    at : Tensor
        The layer's output, as returned by `LayerWatch.output`.

    Returns
    -------
    dict of str to float
        ||g_term|| / sum of all norms; 0 for a term that does not depend on the layer. All 0 if none does.
    """
    norms = {}
    for name, term in terms.items():
        gradient = None
        if term.requires_grad:
            (gradient,) = torch.autograd.grad(term, at, retain_graph=True, allow_unused=True)
        norms[name] = 0.0 if gradient is None else float(torch.linalg.vector_norm(gradient.float()))
    total = sum(norms.values())
    return {name: norm / total if total > 0 else 0.0 for name, norm in norms.items()}
