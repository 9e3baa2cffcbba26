"""Pyro's SVI with one PyTorch optimiser over all weights."""

from collections.abc import Callable
from typing import Any

import torch
from pyro import poutine
from pyro.infer import SVI
from pyro.optim import PyroOptim


class TorchSVI(SVI):
    """``pyro.infer.SVI`` with one PyTorch optimiser, whose steps return a tensor.

    ``SVI`` keeps an optimiser for each parameter that a trace holds, so that
    the norm of all gradients together cannot be limited, and reads every loss back from
    the device. Here the optimiser is an ordinary one, made for all weights, and
    the loss stays where it is until somebody asks for its value.

    Parameters
    ----------
    model, guide : callable
        Pyro programs, of modules whose weights `optimiser` has.
    optimiser : torch.optim.Optimizer
        Steps and forgets the gradients.
    loss : callable
        ``loss(model, guide, *args)`` estimates -ELBO, such as ``Trace_ELBO().loss``;
        for `evaluate_loss`.
    loss_and_grads : callable
        ``loss_and_grads(model, guide, *args)`` adds to the gradients, and returns the
        loss as a tensor without a graph; see `svg_pyro.training.step.LossAndGrads`.

    Attributes
    ----------
    optim : torch.optim.Optimizer
        The optimiser.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        guide: Callable[..., Any],
        optimiser: torch.optim.Optimizer,
        *,
        loss: Callable[..., Any],
        loss_and_grads: Callable[..., torch.Tensor],
    ) -> None:
        # SVI's constructor insists on an optimiser of Pyro's kind; this one is dropped.
        unused = PyroOptim(torch.optim.SGD, {"lr": 0.0})
        super().__init__(  # type: ignore[no-untyped-call]  # Pyro's are not typed
            model, guide, unused, loss, loss_and_grads
        )
        self.optim = optimiser
        self._checked = False

    def step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Take a gradient step.

        Parameters
        ----------
        *args, **kwargs
            What model and guide are called with.

        Returns
        -------
        torch.Tensor
            What `loss_and_grads` returned: the loss before the step, on its device.

        Raises
        ------
        ValueError
            In the first step, if model or guide have a parameter that the optimiser was
            not given.
        """
        if self._checked:
            loss = self.loss_and_grads(self.model, self.guide, *args, **kwargs)
        else:
            with poutine.trace(param_only=True) as traced:
                loss = self.loss_and_grads(self.model, self.guide, *args, **kwargs)
            self._check(traced.trace)
            self._checked = True
        self.optim.step()
        self.optim.zero_grad()
        return torch.as_tensor(loss)

    def _check(self, trace: Any) -> None:
        known = {id(p) for group in self.optim.param_groups for p in group["params"]}
        for name, site in trace.nodes.items():
            if id(site["value"].unconstrained()) not in known:
                raise ValueError(f"the optimiser was not given the parameter {name!r}")
