"""Networks: encoder and decoder backbones, and recurrent networks with explicit state."""

from svg_pyro.model.networks.base import Decoder, Encoder
from svg_pyro.model.networks.dcgan import DCGANDecoder, DCGANEncoder
from svg_pyro.model.networks.folding import Networks, folded
from svg_pyro.model.networks.recurrent import FramePredictor, GaussianLSTM, Recurrent
from svg_pyro.model.networks.vgg import VGGDecoder, VGGEncoder

BACKBONES = {
    "dcgan": (DCGANEncoder, DCGANDecoder),
    "vgg": (VGGEncoder, VGGDecoder),
}

__all__ = [
    "BACKBONES",
    "Decoder",
    "Encoder",
    "FramePredictor",
    "GaussianLSTM",
    "Networks",
    "Recurrent",
    "folded",
]
