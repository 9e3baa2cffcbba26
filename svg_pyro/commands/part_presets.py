"""What parts are compared in: the paper's form, or that of a preset."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from svg_pyro.commands.presets import PRESETS, RunPreset
from svg_pyro.config import SVGConfig
from svg_pyro.errors import ConfigError

PAPER = "paper"
_KINDS = ("prior", "guide", "observation", "dynamics", "elbo")
# What the paper's form has otherwise than the presets of convincing samples.
_VECTORS: dict[str, Any] = {
    "prior": "learned",
    "dynamics": "vector",
    "warp": False,
    "warp_from": "before",
    "g_dim": 64,
    "rnn_size": 128,
}
_TRUE_FRAMES: dict[str, Any] = {"own_means": 0.0, "kl_warmup": 0}
_BETA = {"push": 2e-6, "digit": 3e-5}


@dataclass(frozen=True)
class ShortTraining:
    """How parts are trained, all alike.

    Attributes
    ----------
    steps : int
        Gradient steps.
    seed : int
        Of the training.
    batch_size, width, rnn_size : int or None
        Without them the preset's.
    start : SVGConfig or None
        Of a model whose weights the training starts from.
    """

    steps: int
    seed: int = 0
    batch_size: int | None = None
    width: int | None = None
    rnn_size: int | None = None
    start: SVGConfig | None = None


def preset_of(data: str, part: str, short: ShortTraining) -> RunPreset:
    """What a part is trained with.

    Parameters
    ----------
    data : str
        "push" or "digit".
    part : str
        "paper", or KIND=NAME with commas between several.
    short : ShortTraining
        Steps and sizes, and which model's weights the training starts from.

    Returns
    -------
    RunPreset
        In the paper's form, unless the part is dynamics=maps or there is a model to
        start from: then the small preset's, whose own means begin after a third of the
        steps.

    Raises
    ------
    ConfigError
        When the part is not of that form, or a configuration does not take it.
    """
    name, kind = {"push": ("bair", "small"), "digit": ("smmnist", "bounces")}[data]
    preset = PRESETS[name][kind]
    if short.start is not None:
        preset = preset.of_trained(short.start)
    sizes = {"width": short.width, "rnn_size": short.rnn_size}
    sizes = {name: size for name, size in sizes.items() if size is not None}
    parts = _changes(part)
    # Not every part has a KL in closed form: all are trained alike.
    elbo = parts.pop("elbo", "trace")
    as_preset = short.start is not None or parts.get("dynamics") == "maps"
    form = {"prior": "learned"} if as_preset else _VECTORS | {"beta": _BETA[data]}
    model = dataclasses.replace(preset.model, **form | sizes | parts)
    steps = short.steps
    training = dataclasses.replace(
        preset.training,
        steps=steps,
        seed=short.seed,
        batch_size=short.batch_size or preset.training.batch_size,
        elbo=elbo,
        kl_warmup=min(preset.training.kl_warmup, 2 * steps // 3),
        own_means_start=steps // 3,
        own_means_ramp=max(1, steps // 4),
        validate_every=steps,
        save_every=min(200, steps),
    )
    if not as_preset:
        training = dataclasses.replace(training, **_TRUE_FRAMES)
    return RunPreset(model, training, preset.horizon)


def _changes(part: str) -> dict[str, str]:
    """The fields of a configuration that a part stands for."""
    changes: dict[str, str] = {}
    for one in [] if part == PAPER else part.split(","):
        kind, _, name = one.partition("=")
        if kind not in _KINDS or not name or kind in changes:
            raise ConfigError(
                f"--part is {part!r}; give {PAPER}, or KIND=NAME with a KIND of "
                f"{', '.join(_KINDS)}, and commas between several"
            )
        changes[kind] = name
    return changes
