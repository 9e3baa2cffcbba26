"""Networks for generation: what depends on the weights alone is done beforehand."""

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_weights, parametrize

from svg_pyro.model.networks.base import DecoderStage
from svg_pyro.model.networks.convolutions import SplitConv
from svg_pyro.model.types import Part

_CONVOLUTIONS = nn.Conv2d, nn.ConvTranspose2d


@dataclass(frozen=True)
class Networks:
    """An encoder and a decoder that belong together.

    Attributes
    ----------
    encoder, decoder : torch.nn.Module
        As `svg_pyro.model.networks.Encoder` and `Decoder` say.
    """

    encoder: nn.Module
    decoder: nn.Module


def folded(networks: Part, dtype: torch.dtype | None = None) -> Networks:
    """Copies of an encoder and a decoder for evaluation without gradients.

    Their BatchNorms, which in evaluation are affine maps of each channel, are folded
    into the convolutions before them: the same frames up to rounding.

    Parameters
    ----------
    networks : SVG or Networks
        Has the attributes `encoder` and `decoder`.
    dtype : torch.dtype, optional
        To which the convolutions' weights are cast, for use under autocast.

    Returns
    -------
    Networks
        In evaluation mode.
    """
    return Networks(*(_folded(n, dtype) for n in (networks.encoder, networks.decoder)))


def _folded(network: nn.Module, dtype: torch.dtype | None) -> nn.Module:
    network = _copy(network)
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            for i in range(len(module) - 1):
                module[i + 1] = _fuse(module[i], module[i + 1])
        elif isinstance(module, DecoderStage) and len(module.rest):
            module.rest[0] = _fuse(module.join, module.rest[0])
    for module in network.modules():
        if isinstance(module, SplitConv):
            module.kernel = module.main_kernel().to(dtype=dtype)
        if isinstance(module, _CONVOLUTIONS) and dtype is not None:
            module.to(dtype)
    return network


def _copy(network: nn.Module) -> nn.Module:
    """A copy for evaluation, whose weights are plain tensors without gradients."""
    # Weights that hooks compute (`torch.nn.utils.spectral_norm`) cannot be copied as
    # they are where they belong to a graph.
    computed = {
        id(value): value.detach()
        for module in network.modules()
        for value in vars(module).values()
        if isinstance(value, torch.Tensor) and not value.is_leaf
    }
    network = copy.deepcopy(network, computed).eval()
    for module in list(network.modules()):
        if parametrize.is_parametrized(module):
            _fix(module)
    return network.requires_grad_(False)


def _fix(module: Part) -> None:
    """Replace weights that are computed from others (weight_norm) by their values."""
    values = {name: getattr(module, name).detach() for name in module.parametrizations}
    del module.parametrizations
    # Not by PyTorch's `remove_parametrizations`, which would change the class, and the
    # original shares that.
    module.__class__ = parametrize.type_before_parametrizations(module)
    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value))


def _fuse(layer: nn.Module, norm: nn.Module) -> nn.Module:
    """What follows `layer`: an identity, if the BatchNorm there is in `layer` now."""
    if not isinstance(layer, _CONVOLUTIONS) or not isinstance(norm, nn.BatchNorm2d):
        return norm
    if norm.running_mean is None or norm.running_var is None:
        return norm
    # Hooks may write the weight again at every call, as older normalisations do.
    if layer._forward_pre_hooks:
        return norm
    layer.weight, layer.bias = fuse_conv_bn_weights(
        layer.weight,
        layer.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
        transpose=isinstance(layer, nn.ConvTranspose2d),
    )
    return nn.Identity().eval()
