"""What is evaluated: whatever samples futures. A model, or a baseline."""

import abc
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from svg_pyro.config import SVGConfig
from svg_pyro.errors import EvaluationError
from svg_pyro.evaluation.likelihood import Likelihood
from svg_pyro.model.draws import Draw


class Candidate(abc.ABC):
    """A predictor of futures.

    A subclass gives `name` and `futures`, and of the rest what it has. All draws are
    from PyTorch's global random state.

    Attributes
    ----------
    name : str
        Words by which results and messages name it.
    is_baseline : bool
        Whether it is there for comparison only: no pictures are drawn of it.
    path, sha256 : str or None
        The checkpoint's file, and the hash of its content.
    step : int or None
        Training steps behind it.
    members : int
        M: sample i is of predictor i modulo M; 1 but for an ensemble.
    """

    name: str
    is_baseline: bool = False
    path: str | None = None
    sha256: str | None = None
    step: int | None = None
    members: int = 1

    @property
    def stochastic(self) -> bool:
        """Whether two samples of a clip differ."""
        return False

    @property
    def device(self) -> torch.device | None:
        """Where contexts are to be; None if anywhere."""
        return None

    @property
    def frame_shape(self) -> tuple[int, int, int] | None:
        """(C, H, W) of the frames that it takes; None if it takes any."""
        return None

    @property
    def n_past(self) -> int | None:
        """Frames of context that it was trained with, if any."""
        return None

    @property
    def config(self) -> SVGConfig | None:
        """Of the model, for the results."""
        return None

    @property
    def has_noise(self) -> bool:
        """Whether `noisy_futures` can be called."""
        return False

    @abc.abstractmethod
    def futures(
        self,
        context: torch.Tensor,
        horizon: int,
        num_samples: int,
        chunk_size: int | None = None,
        *,
        actions: torch.Tensor | None = None,
    ) -> Iterator[torch.Tensor]:
        """Sampled futures, a chunk of samples at a time.

        Parameters
        ----------
        context : torch.Tensor
            Shape ``(B, n, C, H, W)``, floats in [0, 1].
        horizon : int
            Frames to predict.
        num_samples : int
            Futures of each clip.
        chunk_size : int, optional
            Samples held at a time.
        actions : torch.Tensor, optional
            ``(B, n - 1 + horizon, A)``, where the data have them; a candidate that
            takes none ignores them.

        Returns
        -------
        iterator of torch.Tensor
            Shapes ``(chunk, B, horizon, C, H, W)``, values in [0, 1]. A chunk is drawn
            when it is asked for.
        """

    def count(self, num_samples: int) -> int:
        """How many samples are worth drawing: one where all would be the same."""
        return num_samples if self.stochastic else 1

    def noisy_futures(
        self,
        context: torch.Tensor,
        horizon: int,
        num_samples: int,
        chunk_size: int | None = None,
        *,
        actions: torch.Tensor | None = None,
    ) -> Iterator[Draw]:
        """What `futures` gives, and frames drawn around it; arguments as there.

        Raises
        ------
        EvaluationError
            There is no observation noise that is known before the truth.
        """
        raise EvaluationError(f"{self.name} has no observation noise")

    def likelihood(
        self,
        frames: torch.Tensor,
        num_particles: int,
        *,
        actions: torch.Tensor | None = None,
    ) -> Likelihood | None:
        """Importance weights of clips ``(B, T, C, H, W)``; None without a density."""
        return None


@dataclass(frozen=True)
class LastFrame(Candidate):
    """The baseline that repeats the last context frame."""

    name: str = "last frame repeated"
    is_baseline = True

    def futures(
        self,
        context: torch.Tensor,
        horizon: int,
        num_samples: int,
        chunk_size: int | None = None,
        *,
        actions: torch.Tensor | None = None,
    ) -> Iterator[torch.Tensor]:
        """See `Candidate.futures`; the chunks share the memory of one frame."""
        future = context[:, -1:].expand(-1, horizon, -1, -1, -1)
        left = num_samples
        while left > 0:
            count = left if chunk_size is None else min(left, chunk_size)
            yield future.expand(count, -1, -1, -1, -1, -1)
            left -= count


LAST_FRAME = LastFrame()
