"""The parts of a model: made by the names in a configuration, or given as objects."""

import inspect
from dataclasses import dataclass
from typing import Any

from torch import nn

from svg_pyro.config import SVGConfig
from svg_pyro.errors import ConfigError
from svg_pyro.model.networks import FramePredictor, MapPredictor
from svg_pyro.model.pyro_internals import released
from svg_pyro.model.registry import names, registered
from svg_pyro.model.types import Part


@dataclass(frozen=True)
class Parts:
    """What an `SVG` is made of.

    Attributes
    ----------
    observation, encoder, decoder, predictor : torch.nn.Module
        Parts that every model has.
    prior, guide : torch.nn.Module or None
        None in a deterministic predictor.
    names : dict of str to str
        Of each kind the registered name, or the class of an object that was given.
    frame_shape : tuple of int
        ``(C, H, W)`` of the frames that the encoder takes.
    """

    observation: Part
    encoder: Part
    decoder: Part
    predictor: Part
    prior: Part
    guide: Part
    names: dict[str, str]
    frame_shape: tuple[int, int, int]


# Under dynamics="maps" these names stand for others.
_OVER_MAPS = {
    "dcgan": "maps",
    "learned": "learned-maps",
    "mixture": "mixture-maps",
    "filtering": "filtering-maps",
}


def part_name(config: SVGConfig, kind: str) -> str:
    """The registered name of a part that a configuration asks for.

    Parameters
    ----------
    config : SVGConfig
        Whose `dynamics` may be maps.
    kind : str
        One of `svg_pyro.model.registry.KINDS`.
    """
    name: str = getattr(config, kind)
    return _OVER_MAPS.get(name, name) if config.dynamics == "maps" else name


def names_to_give(kind: str) -> list[str]:
    """The names of a kind of part, without those that others stand for over maps.

    Parameters
    ----------
    kind : str
        One of `svg_pyro.model.registry.KINDS`.
    """
    known = [name for name in names(kind) if name not in _OVER_MAPS.values()]
    return [*known, "none"] if kind == "prior" else known


def check_names(config: SVGConfig) -> None:
    """Refuse a configuration that no model can be made of.

    Parameters
    ----------
    config : SVGConfig
        Of which every part is to be made by its name.

    Raises
    ------
    ConfigError
        When a name is not registered, or the backbone cannot do the image size.
    """
    for kind in ("backbone", "observation", "prior", "guide"):
        if not (kind == "prior" and config.prior == "none"):
            registered(kind, part_name(config, kind))
    _check_guide(config)
    _check_dynamics(config)
    _check_size(config)


def _made(config: SVGConfig, kind: str, *arguments: object) -> Any:
    """A part of the configuration's name; what it raises while it is made is its own.

    Raises
    ------
    ConfigError
        When the name is not registered, or cannot be called as its kind is.
    """
    name = part_name(config, kind)
    factory = registered(kind, name)
    try:
        inspect.signature(factory).bind(config, *arguments)
    except TypeError as error:
        raise ConfigError(
            f"the {kind} {name!r} cannot be made: it is called with the configuration "
            f"and {len(arguments)} more ({error}); see svg_pyro.register"
        ) from error
    return factory(config, *arguments)


def make_parts(
    config: SVGConfig,
    *,
    prior: nn.Module | None = None,
    guide: nn.Module | None = None,
    observation: nn.Module | None = None,
    backbone: tuple[nn.Module, nn.Module] | None = None,
    predictor: nn.Module | None = None,
) -> Parts:
    """Make what is not given, by the names in the configuration; see `SVG`.

    Raises
    ------
    ConfigError
        When a name is not registered, the backbone cannot do the image size, or what
        is given does not fit.
    """
    _check_given(config, prior=prior, guide=guide, backbone=backbone)
    if backbone is None:
        _check_dynamics(config)
    names = {}

    def part(kind: str, given: nn.Module | None, *arguments: object) -> Part:
        name = part_name(config, kind)
        names[kind] = name if given is None else type(given).__name__
        if given is not None:
            return released(_instance(kind, given))
        if name in _OVER_MAPS.values():
            arguments = (shape,)
        return _made(config, kind, *arguments)

    if backbone is not None:
        encoder, decoder = backbone
        backbone = _instance("backbone", encoder), _instance("backbone", decoder)
    else:
        _check_size(config)
    shape = _frame_shape(config, backbone)
    observed = part("observation", observation, shape)
    encoder, decoder, names["backbone"] = _backbone(config, backbone, observed)
    stochastic = prior is not None or config.prior != "none"
    names |= {"prior": "none", "guide": "none"}
    return Parts(
        observation=observed,
        encoder=encoder,
        decoder=decoder,
        predictor=_predictor(config, predictor, shape, stochastic=stochastic),
        prior=part("prior", prior) if stochastic else None,
        guide=part("guide", guide) if stochastic else None,
        names=names,
        frame_shape=shape,
    )


def _backbone(
    config: SVGConfig, given: tuple[nn.Module, nn.Module] | None, observation: Part
) -> tuple[Part, Part, str]:
    """Encoder, decoder and their name."""
    if given is None:
        name = part_name(config, "backbone")
        encoder, decoder = _made(config, "backbone", observation.extra_channels)
    else:
        encoder, decoder = (released(network) for network in given)
        name = type(encoder).__name__
    _check_decoder(decoder, observation)
    return encoder, decoder, name


def _predictor(
    config: SVGConfig,
    given: nn.Module | None,
    shape: tuple[int, int, int],
    *,
    stochastic: bool,
) -> Part:
    if given is not None:
        return released(_instance("predictor", given))
    z_dim = config.z_dim if stochastic else 0
    if config.dynamics == "maps":
        return MapPredictor(config, z_dim, shape)
    return FramePredictor(config, z_dim)


def _check_given(
    config: SVGConfig, *, prior: object, guide: object, backbone: object
) -> None:
    if not isinstance(config, SVGConfig):
        raise ConfigError(
            f"the configuration is {config!r}; give an SVGConfig, for a preset "
            "SVGConfig.preset(name)"
        )
    if guide is not None and prior is None and config.prior == "none":
        raise ConfigError(
            'a guide was given, but the prior is "none": there are no latents to '
            "infer; leave the guide out, or choose a prior"
        )
    if guide is None and prior is None:
        _check_guide(config)
    if backbone is not None and not (
        isinstance(backbone, tuple) and len(backbone) == 2
    ):
        raise ConfigError(
            f"the backbone is a {type(backbone).__name__}; give a pair, "
            "(encoder, decoder)"
        )


def _instance(kind: str, part: object) -> nn.Module:
    """`part`, if it is a module."""
    if isinstance(part, nn.Module):
        return part
    if isinstance(part, type):
        raise ConfigError(
            f"the {kind} is the class {part.__name__}; give an instance of it, "
            f"as {part.__name__}(config)"
        )
    if isinstance(part, str):
        raise ConfigError(
            f"the {kind} is the text {part!r}; put names into the configuration, "
            f"SVGConfig({kind}={part!r}), or give a module"
        )
    raise ConfigError(f"the {kind} is a {type(part).__name__}; give a torch.nn.Module")


def _check_guide(config: SVGConfig) -> None:
    """Refuse a guide that was chosen where there are no latents."""
    if config.prior == "none" and config.guide != SVGConfig.guide:
        raise ConfigError(
            f"guide is {config.guide!r} and prior 'none': there are no latents to "
            "infer; leave the guide out, or choose a prior",
            advice=("guide", "prior"),
        )


def _check_dynamics(config: SVGConfig) -> None:
    """Refuse parts over maps without maps, and a backbone that gives none for them."""
    over_maps = config.dynamics == "maps"
    for kind in ("backbone", "prior", "guide"):
        name = part_name(config, kind)
        if not over_maps and name in _OVER_MAPS.values():
            raise ConfigError(
                f"{kind} is {name!r} and dynamics {config.dynamics!r}; give "
                'dynamics="maps", or another name'
            )
    if over_maps and config.backbone == "vgg":
        raise ConfigError(
            'dynamics is "maps" and backbone "vgg", whose features are vectors; '
            'give backbone="dcgan", or dynamics="vector"'
        )


def _check_size(config: SVGConfig) -> None:
    name = part_name(config, "backbone")
    if config.dynamics == "maps":
        config.map_shape()
    sizes = getattr(registered("backbone", name), "sizes", None)
    if sizes is not None and config.image_size not in sizes:
        raise ConfigError(
            f"image_size is {config.image_size}; the backbone {config.backbone!r} "
            f"can do {' and '.join(map(str, sizes))}"
        )


def _check_decoder(decoder: nn.Module, observation: Part) -> None:
    if not hasattr(decoder, "prepare"):
        raise ConfigError(
            f"the decoder {type(decoder).__name__} has no method prepare; derive it "
            "from svg_pyro.model.networks.Decoder"
        )
    have = getattr(decoder, "extra_channels", 0)
    if have != observation.extra_channels:
        raise ConfigError(
            f"the decoder gives {have} extra channels, the observation model "
            f"{type(observation).__name__} reads {observation.extra_channels}; build "
            "the decoder with as many"
        )


def _frame_shape(
    config: SVGConfig, backbone: tuple[Part, Part] | None
) -> tuple[int, int, int]:
    """What the encoder says, or the square of the configuration."""
    shape = None if backbone is None else getattr(backbone[0], "frame_shape", None)
    if shape is None:
        return config.channels, config.image_size, config.image_size
    channels, height, width = shape
    return channels, height, width
