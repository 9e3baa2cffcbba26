"""The VGG backbone (Simonyan & Zisserman 2015) as SVG uses it: 3x3 convolutions."""

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
from svg_pyro.model.networks.convolutions import MapToVector, SplitConv, VectorToMap
from svg_pyro.model.registry import register

# Multiples of `width` after each convolution, from fine to coarse.
_ENCODER = {
    64: ([1, 1], [2, 2], [4, 4, 4], [8, 8, 8]),
    128: ([1, 1], [2, 2], [4, 4, 4], [8, 8, 8], [8, 8, 8]),
}
# The same from coarse to fine; the finest stage ends in a layer to the pixels.
_DECODER = {
    64: ([8, 8, 4], [4, 4, 2], [2, 1], [1]),
    128: ([8, 8, 8], [8, 8, 4], [4, 4, 2], [2, 1], [1]),
}


def _finish(config: SVGConfig, channels: int) -> list[nn.Module]:
    return [normalisation(config.norm, channels), nn.LeakyReLU(0.2, inplace=True)]


def _layers(config: SVGConfig, before: int, widths: list[int]) -> list[nn.Module]:
    """3x3 convolutions to `widths`, each normalised and rectified."""
    layers = []
    for width in widths:
        layers += [nn.Conv2d(before, width, 3, 1, 1), *_finish(config, width)]
        before = width
    return layers


class VGGEncoder(StagedEncoder):
    """Stages of 3x3 convolutions with max-pooling between them.

    Parameters
    ----------
    config : SVGConfig
        Gives the size and channels of a frame, the widths and the normalisation.
    """

    def __init__(self, config: SVGConfig) -> None:
        super().__init__()
        before, stages = config.channels, list[nn.Module]()
        for multiples in _ENCODER[config.image_size]:
            widths = [config.width * n for n in multiples]
            pool = [nn.MaxPool2d(2)] if stages else []
            stages.append(nn.Sequential(*pool, *_layers(config, before, widths)))
            before = widths[-1]
        self.stages = nn.ModuleList(stages)
        self.head = nn.Sequential(
            nn.MaxPool2d(2),
            MapToVector(before, config.g_dim),
            normalisation(config.norm, config.g_dim),
            nn.Tanh(),
        )
        init_weights(self)


class VGGDecoder(StagedDecoder):
    """Stages of nearest-neighbour enlargement and 3x3 convolutions.

    Parameters
    ----------
    config : SVGConfig
        Gives the size and channels of a frame, the widths and the normalisation.
    extra_channels : int
        See `svg_pyro.model.networks.Decoder`.
    """

    def __init__(self, config: SVGConfig, extra_channels: int = 0) -> None:
        super().__init__(config, extra_channels)
        plan = [
            [config.width * n for n in multiples]
            for multiples in _DECODER[config.image_size]
        ]
        before = plan[0][0]
        self.head = nn.Sequential(
            VectorToMap(config.g_dim, before), *_finish(config, before)
        )
        if self.warps:
            self.flow = nn.Conv2d(before, 2, 3, padding=1)
        stages = []
        for i, (first, *others) in enumerate(plan):
            rest = [*_finish(config, first), *_layers(config, first, others)]
            if i == len(plan) - 1:
                rest.append(nn.ConvTranspose2d(first, self.out_channels, 3, 1, 1))
            # The skip of a stage is as wide as what comes from the stage below.
            join = SplitConv(before, before, first)
            stages.append(DecoderStage(join, nn.Sequential(*rest)))
            before = others[-1] if others else first
        self.stages = nn.ModuleList(stages)
        init_weights(self)
        self.start_at_copy()


register("backbone", "vgg")(Backbone(VGGEncoder, VGGDecoder, sizes=(64, 128)))
