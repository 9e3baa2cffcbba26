"""Features and recurrent states as maps: where something is stays where it is.

h_t is a map, flattened to a vector for the program, so that every contract of vectors
holds; see `svg_pyro.config.SVGConfig.dynamics`.
"""

from typing import Any

import pyro.distributions as dist
import torch
from pyro.nn import PyroModule
from torch import nn

from svg_pyro.config import SVGConfig
from svg_pyro.model.networks.base import (
    DecoderStage,
    StagedDecoder,
    StagedEncoder,
    init_weights,
    normalisation,
)
from svg_pyro.model.networks.convolutions import (
    ShrinkingConv,
    SplitConvTranspose,
    fold,
)
from svg_pyro.model.networks.map_recurrence import (
    MapRecurrent,
    MapsAsVector,
    MapState,
    VectorAsMaps,
)
from svg_pyro.model.registry import register

_VECTOR_MAPS = 8  # by which z and actions enter

FrameShape = tuple[int, int, int] | None


def _widths(config: SVGConfig, frame_shape: FrameShape) -> list[int]:
    """Channels of the encoder's stages, from fine to coarse."""
    height = config.image_size if frame_shape is None else frame_shape[1]
    halvings = (height // config.map_shape(frame_shape)[1]).bit_length() - 1
    return [config.width * min(2**n, 8) for n in range(halvings)]


def _as_maps(vector: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """What was flattened with its channels last, as ``(*batch, C, h, w)``."""
    channels, height, width = shape
    maps: torch.Tensor = vector.unflatten(-1, (height, width, channels))
    return maps.movedim(-1, -3)


def _finish(config: SVGConfig, channels: int) -> list[nn.Module]:
    return [normalisation(config.norm, channels), nn.LeakyReLU(0.2, inplace=True)]


class MapEncoder(StagedEncoder):
    """Strided 4x4 convolutions down to the map, then a 3x3 convolution and tanh.

    Parameters
    ----------
    config : SVGConfig
        Gives the channels of a frame and of h, the widths and the normalisation.
    frame_shape : tuple of int, optional
        ``(C, H, W)`` of a frame, which need not be square; by default the
        configuration's.
    """

    def __init__(self, config: SVGConfig, frame_shape: FrameShape = None) -> None:
        super().__init__()
        if frame_shape is not None:
            self.frame_shape = frame_shape
        widths = _widths(config, frame_shape)
        self.stages = nn.ModuleList(
            nn.Sequential(ShrinkingConv(before, after), *_finish(config, after))
            for before, after in zip([config.channels, *widths], widths, strict=False)
        )
        self.head = nn.Sequential(
            nn.Conv2d(widths[-1], config.map_channels, 3, padding=1),
            normalisation(config.norm, config.map_channels),
            nn.Tanh(),
        )
        init_weights(self)


class MapDecoder(StagedDecoder):
    """The encoder's mirror image: transposed convolutions over ``concat(d, skip)``.

    Parameters
    ----------
    config : SVGConfig
        As of `MapEncoder`; also whether the frame before is moved.
    extra_channels : int
        See `svg_pyro.model.networks.Decoder`.
    frame_shape : tuple of int, optional
        As of `MapEncoder`.
    """

    def __init__(
        self,
        config: SVGConfig,
        extra_channels: int = 0,
        frame_shape: FrameShape = None,
    ) -> None:
        super().__init__(config, extra_channels)
        widths = _widths(config, frame_shape)[::-1]
        self.shape = config.map_shape(frame_shape)
        self.head = nn.Sequential(
            nn.Conv2d(config.map_channels, widths[0], 3, padding=1),
            *_finish(config, widths[0]),
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

    def as_maps(self, g: torch.Tensor) -> torch.Tensor:
        """See `StagedDecoder.as_maps`."""
        return _as_maps(g, self.shape)


@register("backbone", "maps")
def map_backbone(
    config: SVGConfig, extra_channels: int = 0
) -> tuple[MapEncoder, MapDecoder]:
    """An encoder and a decoder of maps; see `SVGConfig.map_shape` for their sizes."""
    return MapEncoder(config), MapDecoder(config, extra_channels)


class MapPredictor(PyroModule):
    """g_t from maps over (h_{t-1}, a_{t-1}, z_t); a and z enter by a linear layer.

    Parameters
    ----------
    config : SVGConfig
    z_dim : int
        Length of the latent vector; 0 for the deterministic predictor.
    frame_shape : tuple of int, optional
        ``(C, H, W)`` of a frame; by default the configuration's square.
    """

    def __init__(
        self, config: SVGConfig, z_dim: int, frame_shape: FrameShape = None
    ) -> None:
        super().__init__()
        self.shape = config.map_shape(frame_shape)
        self.size = self.shape[0] * self.shape[1] * self.shape[2]
        vector = config.action_dim + z_dim
        in_maps = config.map_channels + (_VECTOR_MAPS if vector else 0)
        self.z_maps = None
        if vector:
            self.z_maps = VectorAsMaps(vector, _VECTOR_MAPS, self.shape[1:])
        self.recurrent = MapRecurrent(in_maps, config.rnn_size, config.predictor_layers)
        self.out = nn.Conv2d(config.rnn_size, config.map_channels, 1)
        init_weights(self.out)

    def forward(
        self, x: torch.Tensor, state: MapState | None = None
    ) -> tuple[torch.Tensor, MapState]:
        """Predict features ``(*batch, T, feature_size)`` in [-1, 1].

        See `svg_pyro.model.networks.recurrent.Recurrent.forward`.
        """
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.out.weight.dtype)
            maps = _as_maps(x[..., : self.size], self.shape)
            if self.z_maps is not None:
                maps = torch.cat([maps, self.z_maps(x[..., self.size :])], -3)
            out, state = self.recurrent(maps, state)
            g = self.out(fold(out)).movedim(-3, -1).flatten(1).tanh()
            return g.unflatten(0, out.shape[:-3]), state


class MapReader(PyroModule):
    """A vector for each frame from recurrent maps over features (and actions).

    Parameters
    ----------
    config : SVGConfig
    layers : int
        Stacked recurrent layers.
    size : int
        Length of the vector.
    frame_shape : tuple of int, optional
        ``(C, H, W)`` of a frame; by default the configuration's square.
    """

    def __init__(
        self,
        config: SVGConfig,
        layers: int,
        size: int,
        frame_shape: FrameShape = None,
    ) -> None:
        super().__init__()
        self.shape = config.map_shape(frame_shape)
        self.size = self.shape[0] * self.shape[1] * self.shape[2]
        in_maps = config.map_channels + (_VECTOR_MAPS if config.action_dim else 0)
        self.action_maps = None
        if config.action_dim:
            self.action_maps = VectorAsMaps(
                config.action_dim, _VECTOR_MAPS, self.shape[1:]
            )
        self.recurrent = MapRecurrent(in_maps, config.rnn_size, layers)
        self.read = MapsAsVector(config.rnn_size, self.shape[1:], size)

    def vectors(
        self, h: torch.Tensor, state: MapState | None = None
    ) -> tuple[torch.Tensor, MapState]:
        """Run over features; see `svg_pyro.model.networks.recurrent.Recurrent`.

        Parameters
        ----------
        h : torch.Tensor
            Features, and the actions behind them, ``(*batch, T, feature_size + A)``.
        state : tuple of torch.Tensor, optional
            From an earlier call.

        Returns
        -------
        vectors : torch.Tensor
            Shape ``(*batch, T, size)``, in the precision of the weights.
        state : tuple of torch.Tensor
            After the last frame.
        """
        with torch.autocast(h.device.type, enabled=False):
            h = h.to(self.read.dtype)
            maps = _as_maps(h[..., : self.size], self.shape)
            if self.action_maps is not None:
                maps = torch.cat([maps, self.action_maps(h[..., self.size :])], -3)
            out, state = self.recurrent(maps, state)
            return self.read(fold(out)).unflatten(0, out.shape[:-3]), state


class MapGaussian(MapReader):
    """A diagonal Gaussian over the vector z from maps over features (and actions).

    Parameters
    ----------
    config : SVGConfig
    layers : int
        Stacked recurrent layers.
    frame_shape : tuple of int, optional
        ``(C, H, W)`` of a frame; by default the configuration's square.
    """

    def __init__(
        self, config: SVGConfig, layers: int, frame_shape: FrameShape = None
    ) -> None:
        super().__init__(config, layers, 2 * config.z_dim, frame_shape)

    def forward(
        self, h: torch.Tensor, state: MapState | None = None
    ) -> tuple[Any, MapState]:
        """Run over features; the contract of `svg_pyro.model.priors.Prior`."""
        read, state = self.vectors(h, state)
        loc, log_variance = read.chunk(2, -1)
        return dist.Normal(loc, (0.5 * log_variance).exp()).to_event(1), state
