"""Weights of the first code (github.com/edenton/svg): read, and written for it."""

import dataclasses
import itertools
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from svg_pyro.config import SVGConfig
from svg_pyro.errors import CheckpointError, ConfigError
from svg_pyro.model.checked import check_model
from svg_pyro.model.official_pickle import StandIn, read_content, tensors_of
from svg_pyro.model.svg import SVG
from svg_pyro.model.transfer import check_tensors
from svg_pyro.util.files import written_beside
from svg_pyro.util.words import one_line

PARTS = ("encoder", "decoder", "frame_predictor", "posterior")
# 3x3 convolutions of VGG's stages, from fine to coarse, by the frame's size.
_VGG_LAYERS = {64: (2, 2, 3, 3), 128: (2, 2, 3, 3, 3)}
# Backbone and size of frames by the number of the encoder's tensors.
_BACKBONES = {30: ("dcgan", 64), 36: ("dcgan", 128), 66: ("vgg", 64), 84: ("vgg", 128)}
_COUNTER = "num_batches_tracked"  # which PyTorch has from 0.4.1 on
# What the first code does, and cannot do otherwise.
_RULES: dict[str, tuple[object, ...]] = {
    "backbone": ("dcgan", "vgg"),
    "image_size": (64, 128),
    "norm": ("batch",),
    "prior": ("learned", "fixed"),
    "guide": ("filtering",),
    "observation": ("gaussian",),
    "dynamics": ("vector",),
    "pixel_skip": (False,),
    "warp": (False,),
    "posterior_start": (2,),
}


def official_content(path: str | Path) -> dict[str, Any]:
    """What a checkpoint's content would be, from a file of the first code.

    Parameters
    ----------
    path : str or Path
        A dict "encoder", "decoder", "frame_predictor", "posterior", of SVG-LP "prior",
        and "opt", of whole modules or of their state dicts, as torch.save of PyTorch
        0.3.1 and later wrote it.

    Returns
    -------
    dict
        "config", "weights" (tensors by name, on the CPU), "training" (None), "about"
        and "file".

    Raises
    ------
    CheckpointError
        When it is no such file, is damaged, or names what no file of the first code
        does. Nothing that is in it is run.
    """
    content = read_content(path)
    try:
        parts = _parts(content)
        config = _config(parts, _options(content))
    # Values of a foreign file may be anything.
    except Exception as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise CheckpointError(
            f"{path} does not hold a model of the first code: {reason}"
        ) from error
    with torch.device("meta"):  # no memory by sizes that a file claims
        wanted = SVG(config).state_dict()
    weights = {}
    for part, tensors in parts.items():
        for ours, theirs in zip(_own(wanted, part), _names(config, part), strict=True):
            tensor = tensors.pop(theirs, None)
            if tensor is None and ours.endswith(_COUNTER):
                tensor = torch.zeros((), dtype=torch.int64)
            if tensor is not None:
                # A storage of another type would be cast without a word.
                wrong = tensor.is_floating_point() != (not ours.endswith(_COUNTER))
                weights["of another type: " + theirs if wrong else ours] = tensor
        weights |= {f"{part}: {name}": tensor for name, tensor in tensors.items()}
    check_tensors(wanted, weights, path)
    return {
        "config": dataclasses.asdict(config),
        "weights": weights,
        "training": None,
        "about": {},
        "file": Path(path),
    }


def export_official(svg: SVG, path: str | Path) -> None:
    """Write a model for the first code: a dict of state dicts, and "opt".

    There each is given to ``load_state_dict`` of the module of its name. `load` and
    `load_official` read the file too.

    Parameters
    ----------
    svg : SVG
        Of what the first code can do: its two backbones and priors, BatchNorm, skip
        connections of the frame before the context's last one, the posterior from x_2.
    path : str or Path
        The file's name; its folder is made.

    Raises
    ------
    ConfigError
        When `svg` is no model, or the first code would do something else with the
        weights.
    CheckpointError
        When the file cannot be written.
    """
    check_model(svg)
    _check_exportable(svg)
    config = svg.config
    state, parts = svg.state_dict(), [*PARTS]
    if config.prior == "learned":
        parts.append("prior")
    content: dict[str, Any] = {
        part: OrderedDict(
            (theirs, _plain(state[ours]))
            for ours, theirs in zip(
                _own(state, part), _names(config, part), strict=True
            )
        )
        for part in parts
    }
    content["opt"] = {
        "model": config.backbone,
        "image_width": config.image_size,
        "channels": config.channels,
        "g_dim": config.g_dim,
        "z_dim": config.z_dim,
        "rnn_size": config.rnn_size,
        "predictor_rnn_layers": config.predictor_layers,
        "posterior_rnn_layers": config.posterior_layers,
        "prior_rnn_layers": config.prior_layers,
        "n_past": config.n_past,
        "beta": float(config.beta),
        "last_frame_skip": config.last_frame_skip,
    }
    try:
        with written_beside(Path(path)) as beside:
            torch.save(content, beside)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise CheckpointError(
            f"cannot write {path}: {reason}; free space or choose another folder"
        ) from error


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.detach().cpu()
    return tensor.float() if tensor.is_floating_point() else tensor


def _parts(content: Any) -> dict[str, dict[str, torch.Tensor]]:
    """Tensors by the first code's names, of each part."""
    if not isinstance(content, dict):
        raise CheckpointError("it is no dict of modules")
    missing = [part for part in (*PARTS, "opt") if part not in content]
    if missing:
        raise CheckpointError(f"it has no {missing[0]}")
    parts = [*PARTS]
    # SVG-FP's scripts may have left an unused one behind.
    if content.get("prior") is not None:
        parts.append("prior")
    return {part: dict(tensors_of(content[part])) for part in parts}


def _options(content: dict[str, Any]) -> dict[str, Any]:
    options = content["opt"]
    if isinstance(options, StandIn):
        options = options.attributes
    if not isinstance(options, dict):
        raise CheckpointError("its opt is no set of options")
    for name in ("n_past", "beta"):
        if name not in options:
            raise CheckpointError(f"its opt has no {name}")
    return options


def _config(
    parts: dict[str, dict[str, torch.Tensor]], options: dict[str, Any]
) -> SVGConfig:
    """The architecture by the tensors' shapes, and the first code's rules."""
    encoder = [t for n, t in parts["encoder"].items() if not n.endswith(_COUNTER)]
    if len(encoder) not in _BACKBONES:
        raise CheckpointError(
            f"its encoder has {len(encoder)} tensors; DCGAN's and VGG's have "
            f"{', '.join(map(str, _BACKBONES))}"
        )
    backbone, image_size = _BACKBONES[len(encoder)]
    posterior = parts["posterior"]
    fixed = "prior" not in parts
    return SVGConfig(
        image_size=image_size,
        channels=encoder[0].shape[1],
        backbone=backbone,
        width=encoder[0].shape[0],
        g_dim=len(encoder[-1]),
        z_dim=len(posterior["mu_net.bias"]),
        rnn_size=len(posterior["embed.bias"]),
        predictor_layers=_layers(parts["frame_predictor"]),
        posterior_layers=_layers(posterior),
        prior_layers=1 if fixed else _layers(parts["prior"]),
        n_past=options["n_past"],
        beta=options["beta"],
        last_frame_skip=options.get("last_frame_skip", False),
        prior="fixed" if fixed else "learned",
        skip_from="before_context",
        posterior_start=2,
        batch_norm="time",
        # SVG-LP's scripts generate in training mode, SVG-FP's in evaluation mode.
        generation_norm="running" if fixed else "batch",
        context_latents="mean" if fixed else "sample",
    )


def _layers(part: dict[str, torch.Tensor]) -> int:
    return sum(name.endswith(".weight_ih") for name in part)


def _own(state: dict[str, torch.Tensor], part: str) -> list[str]:
    return [name for name in state if name.startswith(f"{part}.")]


def _names(config: SVGConfig, part: str) -> list[str]:
    """The first code's names of a part's tensors, in the order of ours."""
    if part in ("encoder", "decoder"):
        return [*itertools.chain(*_block_names(config, part))]
    layers = {
        "frame_predictor": config.predictor_layers,
        "posterior": config.posterior_layers,
        "prior": config.prior_layers,
    }[part]
    cell = "weight_ih", "weight_hh", "bias_ih", "bias_hh"
    heads = ["output.0"] if part == "frame_predictor" else ["mu_net", "logvar_net"]
    return [
        *("embed.weight", "embed.bias"),
        *(f"lstm.{i}.{name}" for i in range(layers) for name in cell),
        *(f"{head}.{name}" for head in heads for name in ("weight", "bias")),
    ]


def _block_names(config: SVGConfig, part: str) -> Iterator[list[str]]:
    """Those of each convolution and the BatchNorm that follows it."""
    stages: list[list[str]] = []
    layers = _VGG_LAYERS[config.image_size]
    if config.backbone == "dcgan":
        stages = [["main."]] * len(layers)
        end = [""]
    elif part == "encoder":
        stages = [[f"{i}.main." for i in range(count)] for count in layers]
        end = [""]
    else:
        counts = list(reversed(layers))[:-1]
        stages = [[f"{i}.main." for i in range(count)] for count in counts]
        end = ["0.main."]
    if part == "encoder":
        places = [f"c{i + 1}.{b}" for i, s in enumerate([*stages, end]) for b in s]
        for place in places:
            yield _block(place)
        return
    if config.backbone == "dcgan":
        stages, end = stages[:-1], []
    yield _block("upc1.")
    for i, stage in enumerate([*stages, end]):
        for place in stage:
            yield _block(f"upc{i + 2}.{place}")
    final = f"upc{len(stages) + 2}.{len(end)}"
    yield [f"{final}.weight", f"{final}.bias"]


def _block(place: str) -> list[str]:
    norm = ("weight", "bias", "running_mean", "running_var", _COUNTER)
    return [
        *(f"{place}0.{name}" for name in ("weight", "bias")),
        *(f"{place}1.{name}" for name in norm),
    ]


def _check_exportable(svg: SVG) -> None:
    """Refuse a model with whose weights the first code would do something else."""
    config = svg.config
    for name, values in _RULES.items():
        if getattr(config, name) not in values:
            raise ConfigError(
                f"{name} is {getattr(config, name)!r}; the first code can do "
                f"{' or '.join(map(repr, values))} alone"
            )
    if config.skip_from != "before_context" and not config.last_frame_skip:
        raise ConfigError(
            f"skip_from is {config.skip_from!r}; the first code can do "
            "'before_context' alone"
        )
    if any(svg.names[k] != getattr(config, k) for k in ("prior", "guide", "backbone")):
        raise ConfigError(
            "parts of the model are not those that its configuration names"
        )
