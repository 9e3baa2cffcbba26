"""What is evaluated: models, one or several."""

import contextlib
import dataclasses
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from svg_pyro.config import SVGConfig
from svg_pyro.evaluation.candidates import Candidate
from svg_pyro.evaluation.likelihood import Likelihood, likelihood
from svg_pyro.model.draws import Draw, each_within
from svg_pyro.model.ensemble import Ensemble
from svg_pyro.model.forecaster import Forecaster
from svg_pyro.model.precision import autocast
from svg_pyro.model.sampler import Sampler
from svg_pyro.model.svg import SVG


class ForecasterCandidate(Candidate):
    """A candidate whose futures a `Forecaster` draws, which a subclass gives."""

    @property
    def forecaster(self) -> Forecaster:
        """Draws means of frames."""
        raise NotImplementedError

    @property
    def noisy_forecaster(self) -> Forecaster:
        """Draws frames with noise."""
        return self.forecaster

    def working(self) -> AbstractContextManager[None]:
        """The precision; what PyTorch is set to where none is asked for."""
        return contextlib.nullcontext()

    def taken(self, actions: torch.Tensor | None) -> torch.Tensor | None:
        """The actions, if they are taken."""
        return actions

    def futures(
        self,
        context: torch.Tensor,
        horizon: int,
        num_samples: int,
        chunk_size: int | None = None,
        *,
        actions: torch.Tensor | None = None,
    ) -> Iterator[torch.Tensor]:
        """See `Candidate.futures`; the means of frames.

        Raises
        ------
        FramesError
            If the context is not of the model's frames, or a number is below 1.
        """
        return self.forecaster.futures(
            context,
            horizon,
            num_samples,
            chunk_size=chunk_size,
            actions=self.taken(actions),
        )

    def noisy_futures(
        self,
        context: torch.Tensor,
        horizon: int,
        num_samples: int,
        chunk_size: int | None = None,
        *,
        actions: torch.Tensor | None = None,
    ) -> Iterator[Draw]:
        """See `Candidate.noisy_futures`; as ``SVG.predict(noise=True)``.

        Raises
        ------
        FramesError
            As `futures`.
        ConfigError
            If the noise is not known before the truth.
        """
        with self.working():
            draws = self.noisy_forecaster.draws(
                context,
                horizon,
                num_samples,
                chunk_size=chunk_size,
                noise=True,
                actions=self.taken(actions),
            )
        return each_within(draws, self.working)


@dataclass(frozen=True)
class ModelCandidate(ForecasterCandidate):
    """A model.

    Parameters
    ----------
    name : str
        Words by which results and messages name it.
    svg : SVG
        The model.
    path, sha256 : str, optional
        The checkpoint's file, and the hash of its content.
    step : int, optional
        Training steps behind it, where the checkpoint says so.
    precision : str
        In which the networks work, one of `svg_pyro.config.PRECISIONS`.
    sampler : Sampler, optional
        Draws the futures in place of the model itself; of the same precision.
    """

    name: str
    svg: SVG = dataclasses.field(repr=False)
    path: str | None = None
    sha256: str | None = None
    step: int | None = None
    precision: str = "float32"
    sampler: Sampler | None = dataclasses.field(default=None, repr=False)

    @property
    def stochastic(self) -> bool:
        """Whether the model has latents."""
        return self.svg.prior is not None

    @property
    def device(self) -> torch.device:
        """Of the model's weights."""
        device: torch.device = next(self.svg.parameters()).device
        return device

    @property
    def config(self) -> SVGConfig:
        """Of the model."""
        config: SVGConfig = self.svg.config
        return config

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """Of the model."""
        channels, height, width = self.svg.frame_shape
        return channels, height, width

    @property
    def n_past(self) -> int:
        """Of the model's configuration."""
        return self.config.n_past

    @property
    def has_noise(self) -> bool:
        """Whether the noise is known before the truth."""
        return not self.svg.observation.needs_target

    @property
    def forecaster(self) -> Forecaster:
        """Draws means: the sampler, or the model itself."""
        return self.sampler or self.svg

    @property
    def noisy_forecaster(self) -> Forecaster:
        """Draws frames with noise: the model itself."""
        return self.svg

    def likelihood(
        self,
        frames: torch.Tensor,
        num_particles: int,
        *,
        actions: torch.Tensor | None = None,
    ) -> Likelihood | None:
        """See `Candidate.likelihood`; None if the frames themselves set the noise."""
        if self.svg.observation.needs_target:
            return None
        taken = self.taken(actions)
        with self.working():
            return likelihood(self.svg, frames, num_particles, actions=taken)

    def working(self) -> AbstractContextManager[None]:
        """The precision; what PyTorch is set to where none is asked for."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        return autocast(self.device, self.precision)

    def taken(self, actions: torch.Tensor | None) -> torch.Tensor | None:
        """The actions, if the model takes any."""
        return actions if self.config.action_dim else None


@dataclass(frozen=True)
class EnsembleCandidate(ForecasterCandidate):
    """Several models as one predictor; no bound of its likelihood is known.

    Parameters
    ----------
    name : str
        Words by which results and messages name it.
    ensemble : Ensemble
        The models.
    sha256 : str, optional
        Hash of their checkpoints' hashes.
    """

    name: str
    ensemble: Ensemble = dataclasses.field(repr=False)
    sha256: str | None = None

    @property
    def members(self) -> int:  # type: ignore[override]  # no one sets it
        """Number of models."""
        return len(self.ensemble.members)

    @property
    def stochastic(self) -> bool:
        """Whether two samples differ, if only between models."""
        return self.members > 1 or self.ensemble.members[0].prior is not None

    @property
    def device(self) -> torch.device:
        """Of the models' weights."""
        device: torch.device = next(self.ensemble.members[0].parameters()).device
        return device

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """Of the models."""
        return self.ensemble.frame_shape

    @property
    def n_past(self) -> int:
        """Of the models' configurations."""
        n_past: int = self.ensemble.members[0].config.n_past
        return n_past

    @property
    def has_noise(self) -> bool:
        """Whether the noise of every model is known before the truth."""
        return not any(m.observation.needs_target for m in self.ensemble.members)

    @property
    def forecaster(self) -> Forecaster:
        """The ensemble, whose members take turns."""
        return self.ensemble
