"""The approximate posterior of a whole clip, from its features."""

import torch

from svg_pyro.errors import ConfigError
from svg_pyro.model.checks import latents
from svg_pyro.model.features import Features
from svg_pyro.model.inputs import with_action_before
from svg_pyro.model.types import Distribution, Part


def posterior_of(svg: Part, features: Features) -> Distribution:
    """q(z_t | x_{1:T}) of t = 2..T; batch shape ``(B, T-1)``.

    The guide's state starts at h_1 or, with ``SVGConfig.posterior_start`` 2, at h_2.

    Parameters
    ----------
    svg : SVG
        With a guide.
    features : Features
        Of x_1..x_T, T at least 2. Where clips are padded, a guide that smooths does not
        look into the padding.
    """
    state, more = None, {}
    if features.lengths is not None and getattr(svg.posterior, "smooths", False):
        more["lengths"] = features.lengths.latents
    h = with_action_before(svg, features.true_h, features.actions)
    if svg.config.posterior_start == 1:
        _, state = svg.posterior(h[:, :1])
    given = svg.posterior(h[:, 1:], state, **more)
    return latents("guide", given, svg.config.z_dim)[0]


def mean_of(svg: Part, posterior: Distribution) -> torch.Tensor:
    """The mean of latents, ``(*batch, z_dim)``.

    Parameters
    ----------
    svg : SVG
        Whose guide gave the distribution; named in the error.
    posterior : pyro.distributions.Distribution
        Of the latents.

    Raises
    ------
    ConfigError
        When it has no mean in closed form.
    """
    try:
        mean: torch.Tensor = posterior.mean
    except NotImplementedError:
        raise ConfigError(
            f"the guide {svg.names['guide']!r} has no mean in closed form; take its "
            "draws, or another guide"
        ) from None
    return mean
