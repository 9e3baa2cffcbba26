"""Pyro's ELBOs without device synchronisation, for training steps.

``Trace_ELBO`` and ``TraceMeanField_ELBO`` look at the loss (and the former at every
site's log-probability) on the CPU, so that each step waits for the device. For a
guide whose draws are all reparametrised the estimate is a plain sum of tensors.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from pyro.distributions.util import scale_and_mask
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO

from svg_pyro.errors import TrainingError
from svg_pyro.model.divergence import kl_bound


class SyncFreeTraceELBO(Trace_ELBO):
    """``Trace_ELBO`` of a reparametrised guide: the same loss and the same gradient."""

    def differentiable_loss(
        self,
        model: Callable[..., Any],
        guide: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> torch.Tensor:
        """-ELBO, estimated by log q(z | x) - log p(x, z) at draws z of the guide.

        Parameters
        ----------
        model, guide : callable
            Pyro programs.
        *args, **kwargs
            What both are called with.

        Returns
        -------
        torch.Tensor
            A scalar: nats, summed over the batch, mean over particles.

        Raises
        ------
        ValueError
            If a draw of the guide is not reparametrised; use Pyro's own class for such
            a guide.
        """
        loss: Any = 0.0
        for model_trace, guide_trace in importance_traces(
            self, model, guide, args, kwargs
        ):
            for name in guide_trace.stochastic_nodes:
                if not guide_trace.nodes[name]["fn"].has_rsample:
                    raise ValueError(f"site {name!r} of the guide has no rsample")
            loss = loss + guide_trace.log_prob_sum() - model_trace.log_prob_sum()
        return torch.as_tensor(loss / self.num_particles)


class SyncFreeMeanFieldELBO(TraceMeanField_ELBO):
    """``TraceMeanField_ELBO``: the same loss and the same gradient."""

    def differentiable_loss(
        self,
        model: Callable[..., Any],
        guide: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> torch.Tensor:
        """-ELBO: KL(q || p) in closed form less log p(x | z) at draws z of the guide.

        Parameters
        ----------
        model, guide : callable
            Pyro programs.
        *args, **kwargs
            What both are called with.

        Returns
        -------
        torch.Tensor
            A scalar: nats, summed over the batch, mean over particles.

        Raises
        ------
        TrainingError
            If a KL has no closed form: ``elbo="trace"`` samples it.
        """
        loss: Any = 0.0
        for model_trace, guide_trace in importance_traces(
            self, model, guide, args, kwargs
        ):
            for name in model_trace.observation_nodes:
                loss = loss - model_trace.nodes[name]["log_prob_sum"]
            for name in model_trace.stochastic_nodes:
                prior, posterior = model_trace.nodes[name], guide_trace.nodes[name]
                kl = _closed_form(name, posterior["fn"], prior["fn"])
                loss = loss + weighed(kl, posterior).sum()
        return torch.as_tensor(loss / self.num_particles)


def importance_traces(
    elbo: Trace_ELBO,
    model: Callable[..., Any],
    guide: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Iterator[tuple[Any, Any]]:
    """Traces of a guide and of the model replayed against it, log-densities computed.

    Parameters
    ----------
    elbo : pyro.infer.ELBO
        Says how many particles there are and whether a plate holds them.
    model, guide : callable
        Pyro programs.
    args, kwargs
        What both are called with.

    Yields
    ------
    model_trace, guide_trace : pyro.poutine.Trace
        For each particle; one pair for all of them if they are vectorised.

    Raises
    ------
    TrainingError
        If this version of Pyro's ELBOs do not offer it.
    """
    # Private in Pyro, and its own ELBOs' one way to their traces: there is no public
    # one that knows of particles. Nothing else of the package uses it.
    get_traces = getattr(elbo, "_get_traces", None)
    if get_traces is None:
        raise TrainingError(
            f"{type(elbo).__name__} has no _get_traces in this version of Pyro; "
            "install pyro-ppl 1.9, or train with pyro.infer's own ELBO"
        )
    yield from get_traces(model, guide, args, kwargs)


def _closed_form(name: str, posterior: Any, prior: Any) -> torch.Tensor:
    kl = kl_bound(posterior, prior)
    if kl is None:
        raise TrainingError(
            f"elbo is 'mean-field', but the KL at site {name!r} of a "
            f"{type(posterior).__name__} from a {type(prior).__name__} has no closed "
            "form; train with elbo 'trace'",
            advice=("elbo",),
        )
    return kl


def weighed(term: torch.Tensor, site: Mapping[str, Any]) -> torch.Tensor:
    """A site's term of the ELBO under the scale and the mask that the site has.

    Parameters
    ----------
    term : torch.Tensor
        Of the site's batch shape.
    site : dict
        Pyro's message or a node of a trace.

    Returns
    -------
    torch.Tensor
        The same shape: 0 where masked, even if `term` is not finite there.
    """
    scaled: torch.Tensor = scale_and_mask(term, site["scale"], site["mask"])
    return scaled


ELBOS: dict[str, type[Any]] = {
    "trace": SyncFreeTraceELBO,
    "mean-field": SyncFreeMeanFieldELBO,
}
