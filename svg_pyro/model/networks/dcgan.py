"""The DCGAN backbone (Radford et al. 2016) as SVG uses it: strided 4x4 convolutions."""

import itertools

from torch import nn

from svg_pyro.config import SVGConfig
from svg_pyro.model.networks.base import (
    Backbone,
    DecoderStage,
    StagedDecoder,
    StagedEncoder,
    init_weights,
    normalisation,
)
from svg_pyro.model.networks.convolutions import (
    MapToVector,
    ShrinkingConv,
    SplitConvTranspose,
    VectorToMap,
)
from svg_pyro.model.registry import register


def _widths(config: SVGConfig) -> list[int]:
    """Channels of the encoder's stages, from fine to coarse; the last is 4x4 pixels."""
    doublings = [1, 2, 4, 8] if config.image_size == 64 else [1, 2, 4, 8, 8]
    return [config.width * n for n in doublings]


def _finish(config: SVGConfig, channels: int) -> list[nn.Module]:
    return [normalisation(config.norm, channels), nn.LeakyReLU(0.2, inplace=True)]


class DCGANEncoder(StagedEncoder):
    """Five (64 pixels) or six (128 pixels) strided convolutions.

    Parameters
    ----------
    config : SVGConfig
        Gives the size and channels of a frame, the widths and the normalisation.
    """

    def __init__(self, config: SVGConfig) -> None:
        super().__init__()
        widths = _widths(config)
        self.stages = nn.ModuleList(
            nn.Sequential(ShrinkingConv(before, after), *_finish(config, after))
            for before, after in itertools.pairwise([config.channels, *widths])
        )
        self.head = nn.Sequential(
            MapToVector(widths[-1], config.g_dim),
            normalisation(config.norm, config.g_dim),
            nn.Tanh(),
        )
        init_weights(self)


class DCGANDecoder(StagedDecoder):
    """The encoder's mirror image: transposed convolutions over ``concat(d, skip)``.

    Parameters
    ----------
    config : SVGConfig
        Gives the size and channels of a frame, the widths and the normalisation.
    extra_channels : int
        See `svg_pyro.model.networks.Decoder`.
    """

    def __init__(self, config: SVGConfig, extra_channels: int = 0) -> None:
        super().__init__(config, extra_channels)
        widths = _widths(config)[::-1]
        self.head = nn.Sequential(
            VectorToMap(config.g_dim, widths[0]), *_finish(config, widths[0])
        )
        if self.warps:
            self.flow = nn.Conv2d(widths[0], 2, 3, padding=1)
        stages = []
        for i, width in enumerate(widths):
            last = i == len(widths) - 1
            out = self.out_channels if last else widths[i + 1]
            rest = [] if last else _finish(config, out)
            join = SplitConvTranspose(width, width, out)
            stages.append(DecoderStage(join, nn.Sequential(*rest)))
        self.stages = nn.ModuleList(stages)
        init_weights(self)
        self.start_at_copy()


register("backbone", "dcgan")(Backbone(DCGANEncoder, DCGANDecoder, sizes=(64, 128)))
