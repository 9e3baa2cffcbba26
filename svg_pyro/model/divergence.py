"""KL(q || p) of the latents: in closed form, or at a draw where there is none."""

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
