"""KL(q || p) of the latents: in closed form, or at a draw where there is none."""

import pyro.distributions as dist
import torch

from svg_pyro.model.types import Distribution


def closed_form_kl(posterior: Distribution, prior: Distribution) -> torch.Tensor | None:
    """KL(posterior || prior) in nats, where PyTorch knows a formula; else None.

    Parameters
    ----------
    posterior, prior : pyro.distributions.Distribution
        Of the same event shape.

    Returns
    -------
    torch.Tensor or None
        Of the distributions' batch shape.
    """
    try:
        return torch.as_tensor(torch.distributions.kl_divergence(posterior, prior))
    except NotImplementedError:
        return None


def kl_bound(posterior: Distribution, prior: Distribution) -> torch.Tensor | None:
    r"""KL(posterior || prior) in nats in closed form, or a bound of it from above.

    Of a Gaussian from a mixture of Gaussians (Hershey & Olsen 2007, "Approximating the
    Kullback Leibler divergence between Gaussian mixture models", section 7)::

        KL(q || sum_k w_k p_k) <= -log sum_k w_k exp(-KL(q || p_k))

    which has no noise, and is the KL itself where all p_k are one. With it an ELBO
    stays a bound of the log-likelihood from below.

    Parameters
    ----------
    posterior, prior : pyro.distributions.Distribution
        Of the same event shape.

    Returns
    -------
    torch.Tensor or None
        Of the distributions' batch shape; None where neither is known.
    """
    if not isinstance(prior, torch.distributions.MixtureSameFamily):
        return closed_form_kl(posterior, prior)
    normal = getattr(posterior, "base_dist", None)
    if not isinstance(normal, torch.distributions.Normal):
        return None
    each = dist.Normal(normal.loc.unsqueeze(-2), normal.scale.unsqueeze(-2)).to_event(1)
    kl = closed_form_kl(each, prior.component_distribution)
    if kl is None:
        return None
    log_weights = prior.mixture_distribution.logits.log_softmax(-1)
    return -torch.logsumexp(log_weights - kl, -1)


def kl_at(
    posterior: Distribution, prior: Distribution, z: torch.Tensor
) -> torch.Tensor:
    """KL(posterior || prior) in nats: in closed form, else estimated at `z`.

    Parameters
    ----------
    posterior, prior : pyro.distributions.Distribution
        Of the same event shape.
    z : torch.Tensor
        A draw of the posterior.

    Returns
    -------
    torch.Tensor
        Of the distributions' batch shape; log q(z) - log p(z), which has the KL as its
        mean, where there is no formula.
    """
    closed = closed_form_kl(posterior, prior)
    if closed is not None:
        return closed
    return torch.as_tensor(posterior.log_prob(z) - prior.log_prob(z))
