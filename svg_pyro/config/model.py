"""What a model is made of: frozen, checked, stored."""

import dataclasses
import difflib
import math
from collections.abc import Mapping
from typing import Any

from svg_pyro.errors import ConfigError
from svg_pyro.util.checks import check_whole
from svg_pyro.util.words import shown

# What the field `sigma` of earlier checkpoints stands for.
_OBSERVATION_OF_SIGMA = {
    "beta": "gaussian",
    "learned": "learned-sigma",
    "optimal": "optimal-sigma",
}
# The fields that are one of a few values, and those.
CHOICES: dict[str, tuple[Any, ...]] = {
    "channels": (1, 3),
    "norm": ("batch", "group"),
    "skip_from": ("context", "before_context"),
    "dynamics": ("vector", "maps"),
    "posterior_start": (1, 2),
    "context_latents": ("sample", "mean"),
    "batch_norm": ("frames", "time"),
    "generation_norm": ("running", "batch"),
    "warp_from": ("before", "context"),
    "decodes": ("frame", "change"),
}
_POSITIVE = (
    "image_size",
    "width",
    "g_dim",
    "z_dim",
    "rnn_size",
    "predictor_layers",
    "prior_layers",
    "posterior_layers",
    "n_past",
    "map_channels",
)
# Far beyond what anyone trains: a damaged file must not ask for memory by its numbers.
_LARGEST, _MOST_LAYERS = 2**16, 64

_PRESETS: dict[str, dict[str, Any]] = {
    "smmnist": dict(channels=1, backbone="dcgan", z_dim=10, n_past=5, beta=1e-4),
    "kth": dict(channels=1, backbone="vgg", z_dim=24, n_past=10, beta=1e-6),
    "bair": dict(channels=3, backbone="vgg", z_dim=64, n_past=2, beta=1e-4),
}


@dataclasses.dataclass(frozen=True)
class SVGConfig:
    """The architecture and the likelihood of an `SVG`.

    `SVGConfig.preset` gives the paper's values (Denton & Fergus 2018, section 4
    and the first code's commands); `dataclasses.replace` changes them.

    Attributes
    ----------
    image_size : int
        Height and width of a frame in pixels; the backbone says which it can do,
        "dcgan" and "vgg" 64 and 128.
    channels : int
        1 (grey) or 3 (RGB).
    backbone : str
        Encoder and decoder: "dcgan", "vgg", or a registered name.
    width : int
        Filters of the encoder's first stage; the others are multiples of it.
    g_dim : int
        Length of a frame's feature vector h and of the predicted one, g.
    z_dim : int
        Length of the latent vector z_t.
    rnn_size : int
        Width of every LSTM.
    predictor_layers : int
        Stacked LSTM layers of the network that predicts the next frame's features.
    prior_layers : int
        Stacked LSTM layers of the prior's network.
    posterior_layers : int
        Stacked LSTM layers of the inference network.
    n_past : int
        Frames of context in training: later frames are decoded with the skip
        connections of frame `n_past`. In prediction every given frame is context.
    beta : float
        The paper's weight of the KL term beside the mean squared error. It sets
        the standard deviation of the Gaussian likelihood (`SVGConfig.noise_scale`).
    observation : str
        How a frame varies around the decoder's mean: "gaussian" (the paper's, of
        beta's standard deviation), "learned-sigma" (one trained standard deviation,
        starting from beta's), "optimal-sigma" (the likeliest of each training batch),
        or a registered name; see `svg_pyro.model.observations`.
    norm : str
        "batch" (the paper's) or "group" (frames do not see each other).
    skip_from : str
        Frame that gives the skip connections of predicted frames: "context"
        (the paper: the last context frame) or "before_context" (the first code:
        the frame before it, needed for its weights).
    last_frame_skip : bool
        Take the skip connections of the previous frame at every step, also of
        generated ones (the first code's option of this name).
    pixel_skip : bool
        Extend the skip connections to the pixels: the decoder also gives a mask
        by which its frame is blended with the skip frame itself. Not in the
        paper; small models and short runs keep a still background by it.
    decodes : str
        What the decoder's own share of such a blend is: a "frame", or a "change" of
        what the others give, from -1 to 1. Of a change fresh weights make nothing:
        they repeat the skip frame.
    prior : str
        "learned" (SVG-LP), "fixed" (SVG-FP), "none" (no latent variable: the paper's
        deterministic predictor), or a registered name; see `svg_pyro.model.priors`.
    guide : str
        The inference network: "filtering" (the paper's), or a registered name; see
        `svg_pyro.model.guides`.
    dynamics : str
        What h and the recurrent states are: "vector" (the paper's), or "maps" of 8 to
        15 pixels on their shorter side, on which convolutions act: what moves keeps
        its shape. With maps the names "dcgan", "learned", "mixture" and "filtering"
        stand for their forms over maps, `width` is doubled at every stage up to eight
        times, and `rnn_size` counts a state's maps.
    map_channels : int
        Channels of h, where it is a map.
    warp : bool
        The decoder also gives a flow, by which the frame before is moved, and masks by
        which each pixel is blended of that frame, the decoded one and, with
        `pixel_skip`, the skip frame. Not in the paper; objects keep their texture.
    warp_from : str
        What a decoder that warps moves in generation: the frame "before", as in
        training, or the last frame of the "context", along all flows since: it is
        interpolated once, so that objects do not fade; what came into view since is
        not in it. In training the frame before a row of own means is the context.
    posterior_start : int
        Frame at which the inference network starts: 1 (the paper: it has seen x_{1:t}),
        or 2 (the first code: x_1 never enters; needed for its weights).
    context_latents : str
        Latents of the context in prediction: "sample" (a draw from the inference
        network for each future), or "mean" (its mean: the first code's SVG-FP). States
        frame by frame always take draws.
    batch_norm : str
        Whose statistics BatchNorm takes in training: "frames" (of all frames of a
        call), or "time" (the first code: of the clips' frames of each time by itself,
        by each of which its running statistics move).
    generation_norm : str
        Whose statistics BatchNorm takes in prediction and reconstruction: "running",
        or "batch" (the first code's SVG-LP: those of the present step's clips, two or
        more, of each sample by itself). Running ones do not move. States frame by
        frame always take the running ones.
    action_dim : int
        Length of the action a_t that leads from x_t to x_{t+1}, which prior and
        predictor see beside h_t, and the guide beside h_{t+1}; 0 without actions.

    Examples
    --------
    >>> config = SVGConfig.preset("bair", z_dim=16)
    >>> config.backbone, config.n_past
    ('vgg', 2)
    >>> round(config.noise_scale, 4)  # what beta stands for
    0.7838
    """

    image_size: int = 64
    channels: int = 3
    backbone: str = "dcgan"
    width: int = 64
    g_dim: int = 128
    z_dim: int = 10
    rnn_size: int = 256
    predictor_layers: int = 2
    prior_layers: int = 1
    posterior_layers: int = 1
    n_past: int = 2
    beta: float = 1e-4
    observation: str = "gaussian"
    norm: str = "batch"
    skip_from: str = "context"
    last_frame_skip: bool = False
    pixel_skip: bool = False
    decodes: str = "frame"
    prior: str = "learned"
    guide: str = "filtering"
    dynamics: str = "vector"
    map_channels: int = 16
    warp: bool = False
    warp_from: str = "before"
    posterior_start: int = 1
    context_latents: str = "sample"
    batch_norm: str = "frames"
    generation_norm: str = "running"
    action_dim: int = 0

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(
                    f"{name} is {shown(getattr(self, name))}; choose one of "
                    f"{list(choices)}"
                )
        for name in _POSITIVE:
            most = _MOST_LAYERS if name.endswith("_layers") else _LARGEST
            value = getattr(self, name)
            check_whole(name, value, least=1, most=most, error=ConfigError)
        action_dim = self.action_dim
        check_whole("action_dim", action_dim, least=0, most=_LARGEST, error=ConfigError)
        if not (isinstance(self.beta, (int, float)) and 0 < self.beta < math.inf):
            raise ConfigError(f"beta is {shown(self.beta)}; give a number above 0")
        for name in ("backbone", "observation", "prior", "guide"):
            if not isinstance(getattr(self, name), str):
                raise ConfigError(
                    f"{name} is {shown(getattr(self, name))}; give a name, and objects "
                    f"to SVG(config, {name}=...)"
                )
        for name in ("last_frame_skip", "pixel_skip", "warp"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(
                    f"{name} is {shown(getattr(self, name))}; give True or False"
                )
        if self.warp_from != "before" and not self.warp:
            raise ConfigError(
                f"warp_from is {self.warp_from!r}, and warp False: nothing is moved; "
                'give warp=True, or warp_from="before"'
            )

        if self.decodes == "change" and not self.pixel_skip:
            raise ConfigError(
                "decodes is 'change', and pixel_skip False: there is no frame to "
                'change; give pixel_skip=True, or decodes="frame"'
            )

    @classmethod
    def preset(cls, name: str, **changes: object) -> "SVGConfig":
        """The paper's configuration for a data set.

        Parameters
        ----------
        name : str
            "smmnist", "kth" or "bair".
        **changes
            Fields that differ from the preset.

        Raises
        ------
        ConfigError
            If the name, or a field in `changes`, is not known.
        """
        if name not in _PRESETS:
            raise ConfigError(f"no preset {name!r}; choose one of {list(_PRESETS)}")
        return cls.from_dict({**_PRESETS[name], **changes})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "SVGConfig":
        """A configuration from a mapping, as it is stored in a checkpoint.

        Raises
        ------
        ConfigError
            If a key is not a field; the message names the nearest one.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        values = _with_observation(values)
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                hint = (
                    f"did you mean {near[0]!r}?" if near else "see svg_pyro.SVGConfig"
                )
                raise ConfigError(f"unknown configuration key {shown(key)}; {hint}")
        return cls(**values)

    def map_shape(
        self, frame_shape: tuple[int, int, int] | None = None
    ) -> tuple[int, int, int]:
        """Channels, height and width of h, where it is a map.

        A frame's height and width are halved as often as the shorter one stays at 8
        pixels or more.

        Parameters
        ----------
        frame_shape : tuple of int, optional
            ``(C, H, W)`` of a frame; by default the square of `image_size`.

        Raises
        ------
        ConfigError
            When a side is below 16 pixels, or cannot be halved so often.
        """
        height, width = (frame_shape or (0, self.image_size, self.image_size))[1:]
        parts = 2 ** (max(8, min(height, width)) // 8).bit_length() // 2
        if parts < 2 or height % parts or width % parts:
            raise ConfigError(
                f"frames of {height}x{width} pixels cannot be made into maps; give "
                f"sides of 16 or more that are multiples of {max(2, parts)}"
            )
        return self.map_channels, height // parts, width // parts

    @property
    def feature_size(self) -> int:
        """Length of h: `g_dim`, or the values of a whole map."""
        return self.g_dim if self.dynamics == "vector" else math.prod(self.map_shape())

    @property
    def input_size(self) -> int:
        """Length of what prior and guide see of a frame: h, and an action beside it."""
        return self.feature_size + self.action_dim

    @property
    def pixels(self) -> int:
        """D: values in a frame, ``channels * image_size**2``."""
        return self.channels * self.image_size**2

    @property
    def noise_scale(self) -> float:
        """Standard deviation of a pixel that beta stands for, in [0, 1] units.

        The paper's loss, mean squared error over D values plus beta * KL, is
        proportional to the negative ELBO of a Gaussian likelihood with
        ``sigma**2 = D * beta / 2``.
        """
        return noise_of_beta(self.beta, self.pixels)


def noise_of_beta(beta: float, pixels: int) -> float:
    """``sqrt(pixels * beta / 2)``: see `SVGConfig.noise_scale`.

    Parameters
    ----------
    beta : float
        The paper's weight of the KL term.
    pixels : int
        D, the values in a frame.
    """
    return math.sqrt(pixels * beta / 2)


def _with_observation(values: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping whose field `sigma`, as checkpoints had it, is an observation model."""
    values = dict(values)
    if "sigma" in values:
        sigma = values.pop("sigma")
        if sigma not in _OBSERVATION_OF_SIGMA:
            raise ConfigError(
                f"sigma is {shown(sigma)}; give observation, and not sigma: "
                f"{list(_OBSERVATION_OF_SIGMA.values())} or a registered name"
            )
        observation = _OBSERVATION_OF_SIGMA[sigma]
        if values.setdefault("observation", observation) != observation:
            raise ConfigError(
                f"sigma is {shown(sigma)} and observation {values['observation']!r}; "
                "give observation alone"
            )
    return values
