"""Networks for generation: what depends on the weights alone is done beforehand."""

import copy
from dataclasses import dataclass

from torch import nn
from torch.nn.utils import fuse_conv_bn_weights

from svg_pyro.model.networks.base import DecoderStage
from svg_pyro.model.networks.convolutions import SplitConv

_CONVOLUTIONS = nn.Conv2d, nn.ConvTranspose2d


@dataclass(frozen=True)
class Networks:
    """An encoder and a decoder that belong together.

    Attributes
    ----------
    encoder, decoder : torch.nn.Module
    """

    encoder: nn.Module
    decoder: nn.Module


def folded(networks, dtype=None):
    """Copies of an encoder and a decoder for evaluation without gradients.

    Their BatchNorms, which in evaluation are affine maps of each channel, are folded
    into the convolutions before them: the same frames up to rounding.

    Parameters
    ----------
    networks : SVG or Networks
    dtype : torch.dtype, optional
        To which the convolutions' weights are cast, for use under autocast.

    Returns
    -------
    Networks
        In evaluation mode.
    """
    return Networks(*(_folded(n, dtype) for n in (networks.encoder, networks.decoder)))


def _folded(network, dtype):
    network = copy.deepcopy(network).eval().requires_grad_(False)
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            for i in range(len(module) - 1):
                module[i + 1] = _fuse(module[i], module[i + 1])
        elif isinstance(module, DecoderStage) and len(module.rest):
            module.rest[0] = _fuse(module.join, module.rest[0])
    for module in network.modules():
        if isinstance(module, SplitConv):
            module.kernel = module.main_kernel().to(dtype)
        if isinstance(module, _CONVOLUTIONS) and dtype is not None:
            module.to(dtype)
    return network


def _fuse(layer, norm):
    """What follows `layer`: an identity, if it was a BatchNorm and is in `layer` now."""
    if not isinstance(layer, _CONVOLUTIONS) or not isinstance(norm, nn.BatchNorm2d):
        return norm
    layer.weight, layer.bias = fuse_conv_bn_weights(
        layer.weight, layer.bias, norm.running_mean, norm.running_var, norm.eps,
        norm.weight, norm.bias, transpose=isinstance(layer, nn.ConvTranspose2d),
    )  # fmt: skip
    return nn.Identity().eval()
