"""Pyro's ELBOs without their reads from the device, for training steps on CUDA.

``Trace_ELBO`` and ``TraceMeanField_ELBO`` look at the loss (and the former at every
site's log-probability) on the CPU, so that each step waits for the device. For a
guide whose draws are all reparametrised the estimate is a plain sum of tensors.
"""

import pyro.distributions as dist
from pyro.distributions.util import scale_and_mask
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO


class QuietTraceELBO(Trace_ELBO):
    """``Trace_ELBO`` of a reparametrised guide: the same loss and gradient, unread.

    Raises
    ------
    ValueError
        From `differentiable_loss`, if a draw of the guide is not reparametrised; use
        Pyro's own class for such a guide.
    """

    def differentiable_loss(self, model, guide, *args, **kwargs):
        """-ELBO in nats, summed over the batch: a scalar tensor."""
        loss = 0.0
        for model_trace, guide_trace in self._get_traces(model, guide, args, kwargs):
            for name in guide_trace.stochastic_nodes:
                if not guide_trace.nodes[name]["fn"].has_rsample:
                    raise ValueError(f"site {name!r} of the guide has no rsample")
            loss = loss + guide_trace.log_prob_sum() - model_trace.log_prob_sum()
        return loss / self.num_particles


class QuietMeanFieldELBO(TraceMeanField_ELBO):
    """``TraceMeanField_ELBO``: the same loss and gradient, unread."""

    def differentiable_loss(self, model, guide, *args, **kwargs):
        """-ELBO in nats, summed over the batch: a scalar tensor."""
        loss = 0.0
        for model_trace, guide_trace in self._get_traces(model, guide, args, kwargs):
            for name in model_trace.observation_nodes:
                loss = loss - model_trace.nodes[name]["log_prob_sum"]
            for name in model_trace.stochastic_nodes:
                prior, posterior = model_trace.nodes[name], guide_trace.nodes[name]
                kl = kl_divergence(posterior["fn"], prior["fn"], prior["value"])
                kl = scale_and_mask(kl, posterior["scale"], posterior["mask"])
                loss = loss + kl.sum()
        return loss / self.num_particles


def kl_divergence(posterior, prior, z):
    """KL(posterior || prior): in closed form where there is one, else estimated at `z`."""
    try:
        return dist.kl.kl_divergence(posterior, prior)
    except NotImplementedError:
        return posterior.log_prob(z) - prior.log_prob(z)


ELBOS = {"trace": QuietTraceELBO, "mean-field": QuietMeanFieldELBO}
