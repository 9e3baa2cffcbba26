"""The learned prior of SVG-LP."""

from svg_pyro.config import SVGConfig
from svg_pyro.model.networks import GaussianLSTM, MapGaussian
from svg_pyro.model.priors.base import Prior
from svg_pyro.model.registry import register


@register("prior", "learned")
class LearnedPrior(GaussianLSTM, Prior):
    """SVG-LP: p(z_t given x_{1:t-1}) = Normal(mu, sigma) from an LSTM over h_{1:t-1}.

    Parameters
    ----------
    config : SVGConfig
    """

    def __init__(self, config: SVGConfig) -> None:
        super().__init__(config, config.prior_layers)


@register("prior", "learned-maps")
class LearnedMapPrior(MapGaussian, Prior):
    """`LearnedPrior` from recurrent maps over h_{1:t-1}, which are maps themselves.

    Parameters
    ----------
    config : SVGConfig
    frame_shape : tuple of int, optional
        ``(C, H, W)`` of a frame; by default the configuration's square.
    """

    def __init__(
        self, config: SVGConfig, frame_shape: tuple[int, int, int] | None = None
    ) -> None:
        super().__init__(config, config.prior_layers, frame_shape)
