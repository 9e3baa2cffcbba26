"""How a model is trained: frozen, checked, stored."""

import dataclasses
import math

from svg_pyro.config.precisions import check_precision
from svg_pyro.errors import ConfigError
from svg_pyro.util.checks import check_whole
from svg_pyro.util.words import shown


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained.

    Attributes
    ----------
    steps : int
        Gradient steps of the whole run.
    batch_size : int
        Clips in a step, of all processes together.
    n_frames : int
        Frames in a training clip, context included. It is the data set that cuts
        them: where its clips are of another length, a Trainer says so and takes them.
    lr : float
        Adam's learning rate at the start.
    lr_end : float
        Adam's learning rate at the last step, to which it falls by half a cosine.
    eps : float
        Adam's epsilon, added to the root of the second moment. Gradients are in nats a
        frame, 1 / (beta (T - 1)) times those of the paper's loss: its 1e-8 is here
        1e-8 / (beta (T - 1)).
    clip_norm : float
        Largest norm of all gradients together, in nats a frame; 0: no limit.
    accumulate : int
        Equal chunks into which a process cuts its part of a batch, one after the
        other, to need less memory. Their gradients are summed before the step.
        BatchNorm and the observation model "optimal-sigma" see one chunk at a time.
    checkpoint_activations : bool
        Keep fewer activations of encoder and decoder, and compute the others again
        in the backward pass: the same gradients in less memory and more time.
    precision : str
        "float32"; "tf32": float32 whose products NVIDIA's tensor cores (of compute
        capability 8.0 and later) round to 10 bits of fraction, no different from
        "float32" elsewhere; or "bf16": convolutions in bfloat16, all else in float32,
        for devices that compute it faster; most CPUs do not.
    elbo : str
        "trace" (the KL by sampling) or "mean-field" (the KL in closed form; from a
        mixture a bound of it, see `svg_pyro.model.divergence.kl_bound`).
    kl_warmup : int
        Steps in which the weight of the KL rises to 1, geometrically; 0: it is 1 from
        the start. The logged KL and held-out bounds are unweighted.
    kl_warmup_weight : float
        Weight of the KL in the first step of its warm-up, above 0 and at most 1.
    own_means : float
        Share of the frames that the predictor sees and the decoder moves which are the
        model's own means and not the true ones, at the end; 0: teacher forcing. See
        `svg_pyro.training.own_means`.
    own_means_start : int
        The step from which on the share of own means rises from 0.
    own_means_ramp : int
        Steps in which the share of own means rises to `own_means`.
    seed : int
        Seed of the weights, the latents and the order of the clips.
    workers : int
        Processes that read clips ahead; 0 reads in the training process. They do
        not change what is read.
    log_every : int
        Steps from one line of the log to the next.
    validate_every : int
        Steps from one validation, with its pictures, to the next.
    save_every : int
        Steps from one checkpoint to the next.
    keep_last : int
        Checkpoints that are kept: the newest, and those before it in a folder.
    """

    steps: int = 180_000
    batch_size: int = 100
    n_frames: int = 12
    lr: float = 2e-3
    lr_end: float = 2e-3
    eps: float = 1e-8
    clip_norm: float = 0.0
    accumulate: int = 1
    checkpoint_activations: bool = False
    precision: str = "float32"
    elbo: str = "trace"
    kl_warmup: int = 0
    kl_warmup_weight: float = 0.01
    own_means: float = 0.0
    own_means_start: int = 300
    own_means_ramp: int = 1_000
    seed: int = 0
    workers: int = 0
    log_every: int = 20
    validate_every: int = 2_000
    save_every: int = 1_000
    keep_last: int = 1

    def __post_init__(self) -> None:
        for name in (
            "steps",
            "batch_size",
            "accumulate",
            "log_every",
            "validate_every",
            "save_every",
            "keep_last",
        ):
            check_whole(name, getattr(self, name), least=1, error=ConfigError)
        if self.batch_size % self.accumulate:
            raise ConfigError(
                f"a batch_size of {self.batch_size} cannot be cut into accumulate = "
                f"{self.accumulate} equal chunks; make it a multiple"
            )
        check_whole("n_frames", self.n_frames, least=2, error=ConfigError)
        if not 0 < self.lr < math.inf or not 0 <= self.lr_end <= self.lr:
            raise ConfigError(
                f"lr is {self.lr} and lr_end {self.lr_end}; "
                "give 0 < lr and 0 <= lr_end <= lr"
            )
        if not 0 < self.eps < math.inf:
            raise ConfigError(f"eps is {self.eps}; give a number above 0")
        if self.clip_norm < 0:
            raise ConfigError(f"clip_norm is {self.clip_norm}; give 0 or more")
        for name in ("seed", "workers", "own_means_start", "kl_warmup"):
            check_whole(name, getattr(self, name), least=0, error=ConfigError)
        if not 0 < self.kl_warmup_weight <= 1:
            raise ConfigError(
                f"kl_warmup_weight is {self.kl_warmup_weight}; give a number above 0, "
                "at most 1"
            )
        if not 0 <= self.own_means <= 1:
            raise ConfigError(
                f"own_means is {self.own_means}; give a share from 0 to 1"
            )
        check_whole("own_means_ramp", self.own_means_ramp, least=1, error=ConfigError)
        check_precision(self.precision)
        if self.elbo not in ("trace", "mean-field"):
            raise ConfigError(f"elbo is {shown(self.elbo)}; choose trace or mean-field")
