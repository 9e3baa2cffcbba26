"""Networks: backbones of encoder and decoder, recurrent networks, explicit state."""

from svg_pyro.model.networks.base import (
    Backbone,
    Decoder,
    Encoder,
    StagedDecoder,
    StagedEncoder,
)
from svg_pyro.model.networks.dcgan import DCGANDecoder, DCGANEncoder
from svg_pyro.model.networks.folding import Networks, folded
from svg_pyro.model.networks.maps import (
    MapDecoder,
    MapEncoder,
    MapGaussian,
    MapPredictor,
)
from svg_pyro.model.networks.recurrent import FramePredictor, GaussianLSTM, Recurrent
from svg_pyro.model.networks.vgg import VGGDecoder, VGGEncoder

__all__ = [
    "Backbone",
    "DCGANDecoder",
    "DCGANEncoder",
    "Decoder",
    "Encoder",
    "FramePredictor",
    "GaussianLSTM",
    "MapDecoder",
    "MapEncoder",
    "MapGaussian",
    "MapPredictor",
    "Networks",
    "Recurrent",
    "StagedDecoder",
    "StagedEncoder",
    "VGGDecoder",
    "VGGEncoder",
    "folded",
]
