"""The paper's inference network."""

from svg_pyro.config import SVGConfig
from svg_pyro.model.guides.base import Guide
from svg_pyro.model.networks import GaussianLSTM, MapGaussian
from svg_pyro.model.registry import register


@register("guide", "filtering")
class FilteringGuide(GaussianLSTM, Guide):
    """The paper's: q(z_t given x_{1:t}) = Normal(mu, sigma) from an LSTM over h_{1:t}.

    Parameters
    ----------
    config : SVGConfig
    """

    def __init__(self, config: SVGConfig) -> None:
        super().__init__(config, config.posterior_layers)


@register("guide", "filtering-maps")
class FilteringMapGuide(MapGaussian, Guide):
    """`FilteringGuide` from recurrent maps over h_{1:t}, which are maps themselves.

    Parameters
    ----------
    config : SVGConfig
    frame_shape : tuple of int, optional
        ``(C, H, W)`` of a frame; by default the configuration's square.
    """

    def __init__(
        self, config: SVGConfig, frame_shape: tuple[int, int, int] | None = None
    ) -> None:
        super().__init__(config, config.posterior_layers, frame_shape)
