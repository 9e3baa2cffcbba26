"""Named defaults of the training commands, by data set: "paper", "small" and others."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from svg_pyro.config import SVGConfig, TrainingConfig


@dataclass(frozen=True)
class RunPreset:
    """Defaults of a training command.

    Attributes
    ----------
    model : SVGConfig
        The model that is trained.
    training : TrainingConfig
        How it is trained.
    horizon : int
        Frames predicted in the final scores and pictures.
    """

    model: SVGConfig
    training: TrainingConfig
    horizon: int

    def of_trained(self, model: SVGConfig) -> "RunPreset":
        """These defaults for a training that begins with a trained model's weights.

        Its latents are found, and would be lost under a small weight of the KL.
        """
        training = dataclasses.replace(self.training, kl_warmup=0)
        return dataclasses.replace(self, model=model, training=training)


# The KL in closed form, the paper's loss: with a sampled one it takes digits far longer
# until latents are used; see docs/how_it_works.md.
_ELBO = "mean-field"
# The paper's sizes are for a GPU, where float32 convolutions take three times as long
# as those in TF32, PyTorch's own default there.
_PAPER: dict[str, Any] = {"elbo": _ELBO, "precision": "tf32"}
# What made the samples of short runs convincing; see `SVGConfig` and `TrainingConfig`.
_MAPS: dict[str, Any] = {"dynamics": "maps", "warp": True, "width": 8, "rnn_size": 32}
_OWN_MEANS: dict[str, Any] = {
    "elbo": _ELBO,
    "own_means": 0.6,
    "own_means_start": 600,
    "own_means_ramp": 600,
}

_BAIR = {
    "paper": RunPreset(
        SVGConfig.preset("bair"),
        TrainingConfig(eps=9.1e-6, workers=4, **_PAPER),
        horizon=28,
    ),
    # Sized so that two CPU cores are done in minutes.
    "small": RunPreset(
        SVGConfig.preset(
            "bair",
            backbone="dcgan",
            z_dim=16,
            beta=2e-4,
            pixel_skip=True,
            decodes="change",
            **_MAPS | {"width": 16},
        ),
        TrainingConfig(
            steps=860,
            batch_size=8,
            lr=2e-3,
            lr_end=1e-4,
            # Under so large a beta from the start latents may never be used.
            kl_warmup=640,
            validate_every=430,
            save_every=100,
            **_OWN_MEANS
            | {"own_means": 0.9, "own_means_start": 320, "own_means_ramp": 230},
        ),
        horizon=10,
    ),
}

_SMMNIST = {
    "paper": RunPreset(
        SVGConfig.preset("smmnist"),
        TrainingConfig(n_frames=15, eps=7.1e-6, workers=4, **_PAPER),
        horizon=25,
    ),
    # Sized so that two CPU cores are done in minutes.
    "small": RunPreset(
        SVGConfig.preset("smmnist", width=16, beta=1e-5),
        TrainingConfig(
            steps=2000,
            batch_size=8,
            elbo=_ELBO,
            n_frames=15,
            lr=2e-3,
            lr_end=1e-4,
            validate_every=500,
            save_every=100,
        ),
        horizon=15,
    ),
    # One digit (--num-digits 1), so small that in 20 minutes of one CPU core the prior
    # learns when it will bounce; see the README. Two latents: unused ones would only
    # add noise to the prior's entropy.
    "bounces": RunPreset(
        SVGConfig.preset("smmnist", z_dim=2, beta=3e-5, warp_from="context", **_MAPS),
        TrainingConfig(
            steps=4500,
            batch_size=8,
            n_frames=15,
            lr=2e-3,
            lr_end=1e-5,
            clip_norm=100.0,
            validate_every=1500,
            save_every=500,
            **_OWN_MEANS | {"own_means_start": 1200, "own_means_ramp": 800},
        ),
        horizon=15,
    ),
}

_KTH = {
    "paper": RunPreset(
        SVGConfig.preset("kth"),
        TrainingConfig(
            n_frames=20, lr=8e-4, lr_end=8e-4, eps=5.3e-4, workers=4, **_PAPER
        ),
        horizon=30,
    ),
    # Sized so that two CPU cores are done in minutes.
    "small": RunPreset(
        SVGConfig.preset(
            "kth", backbone="dcgan", width=16, g_dim=96, z_dim=16, pixel_skip=True
        ),
        TrainingConfig(
            steps=1300,
            batch_size=8,
            elbo=_ELBO,
            n_frames=20,
            lr=2e-3,
            lr_end=1e-4,
            validate_every=650,
            save_every=100,
        ),
        horizon=20,
    ),
}

_VIDEOS = {
    "paper": RunPreset(
        SVGConfig.preset("kth", channels=3),
        TrainingConfig(n_frames=20, eps=5.3e-4, workers=4, **_PAPER),
        horizon=20,
    ),
    # Sized so that two CPU cores are done in minutes. Scenes are few, and held-out ones
    # others: BatchNorm's statistics would be of the scenes that were trained on, and
    # large networks learn those by heart.
    "small": RunPreset(
        SVGConfig.preset(
            "kth",
            channels=3,
            backbone="dcgan",
            z_dim=4,
            n_past=5,
            beta=2e-4,
            norm="group",
            pixel_skip=True,
            decodes="change",
            **_MAPS | {"rnn_size": 16},
        ),
        TrainingConfig(
            steps=450,
            batch_size=8,
            n_frames=15,
            lr=1e-3,
            lr_end=5e-5,
            validate_every=75,
            save_every=75,
            **_OWN_MEANS
            | {"own_means": 0.9, "own_means_start": 50, "own_means_ramp": 100},
        ),
        horizon=10,
    ),
}

_LEROBOT = {
    "paper": RunPreset(
        SVGConfig.preset("bair"),
        TrainingConfig(eps=9.1e-6, workers=4, **_PAPER),
        horizon=20,
    ),
    "small": _BAIR["small"],
}

PRESETS = {
    "bair": _BAIR,
    "smmnist": _SMMNIST,
    "kth": _KTH,
    "videos": _VIDEOS,
    "lerobot": _LEROBOT,
}
