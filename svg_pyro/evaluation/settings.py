"""What an evaluation does: frozen, checked, stored with its results."""

from dataclasses import dataclass

from svg_pyro.config import check_precision
from svg_pyro.errors import EvaluationError
from svg_pyro.evaluation.sampling import Sampling
from svg_pyro.metrics.protocols import PROTOCOLS, find_protocols
from svg_pyro.util.checks import check_whole

INTERVALS = ("means", "noisy")
_POSITIVE = ("n_past", "horizon", "num_samples", "clips", "batch_size", "chunk_size")


@dataclass(frozen=True)
class EvaluationSettings:
    """How predictions of a test set are made and scored.

    Attributes
    ----------
    n_past, horizon : int
        Frames of context, and predicted frames after them.
    protocols : tuple of str
        Of `svg_pyro.metrics.PROTOCOLS`; all are given the same samples.
    num_samples : int
        Futures of each clip.
    clips : int
        Test clips, counted from the first, if there are as many.
    batch_size : int
        Clips at a time.
    chunk_size : int
        Samples of a batch at a time.
    seed : int
        Seed of the samples, which are a function of it, `batch_size`, `chunk_size`, the
        clip and the checkpoint alone.
    calibration_samples : int
        How many of these samples are judged as a distribution, which takes memory for
        all of them at once; 0: none are.
    intervals : str
        What that distribution is: "means", the spread of the frames' means over
        samples; or "noisy", frames drawn from the observation model around those
        means, as by ``SVG.predict(noise=True)``. Under the observation model "gaussian"
        that noise stands for a weight of the KL and is not calibrated.
    particles : tuple of int
        The K of the importance-weighted bounds, in any order, each once.
    likelihood_clips : int
        The first clips whose likelihood is bounded; 0: none.
    pictures : int
        The first clips that are drawn.
    precision : str
        Precision of the networks. tf32: NVIDIA's tensor cores; bf16: convolutions in
        bfloat16, for devices faster in it. Scores are computed in float32 and summed in
        float64 in any case.
    compile : bool
        Compile the networks that draw futures first, for GPUs and many clips; where
        `intervals` are noisy they are not.
    threads : int or None
        PyTorch's threads on the CPU, on which its sums depend in the last digits;
        without it PyTorch's own choice.

    Raises
    ------
    EvaluationError
        A number is too low or not whole, a protocol is unknown or none is given, a
        protocol or a K is given twice, or `intervals` is neither "means" nor "noisy".
    ConfigError
        The precision is unknown.
    """

    n_past: int
    horizon: int
    protocols: tuple[str, ...] = tuple(PROTOCOLS)
    num_samples: int = 100
    clips: int = 128
    batch_size: int = 4
    chunk_size: int = 32
    seed: int = 0
    calibration_samples: int = 100
    intervals: str = "means"
    particles: tuple[int, ...] = (1, 10, 100, 1000)
    likelihood_clips: int = 16
    pictures: int = 4
    precision: str = "float32"
    compile: bool = False
    threads: int | None = None

    def __post_init__(self) -> None:
        find_protocols(self.protocols)
        check_precision(self.precision)
        if self.threads is not None:
            check_whole("threads", self.threads, least=1, error=EvaluationError)
        for name in _POSITIVE:
            check_whole(name, getattr(self, name), least=1, error=EvaluationError)
        for name in ("seed", "calibration_samples", "likelihood_clips", "pictures"):
            check_whole(name, getattr(self, name), least=0, error=EvaluationError)
        if self.calibration_samples == 1:
            raise EvaluationError(
                "calibration_samples is 1; give 2 or more to see a spread, or 0"
            )
        if self.intervals not in INTERVALS:
            raise EvaluationError(
                f"intervals is {self.intervals!r}; choose one of {list(INTERVALS)}"
            )
        # Of a K that is given twice each clip would count twice.
        once = len(set(self.particles)) == len(self.particles) > 0
        if not once or not all(type(k) is int and k > 0 for k in self.particles):
            raise EvaluationError(
                f"particles are {list(self.particles)}; give whole numbers above 0, "
                "each once"
            )

    @property
    def n_frames(self) -> int:
        """Frames of a test clip."""
        return self.n_past + self.horizon

    @property
    def protocol_words(self) -> dict[str, str]:
        """What each protocol reproduces, in words."""
        return {p.name: p.words for p in find_protocols(self.protocols)}

    @property
    def sampling(self) -> Sampling:
        """How futures are drawn."""
        return Sampling(self.horizon, self.num_samples, self.chunk_size, self.seed)
