"""Several models as one predictor, and where the spread of its futures is from."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from svg_pyro.errors import ConfigError
from svg_pyro.metrics.moments import Running
from svg_pyro.model.checkpoint import load
from svg_pyro.model.checks import check_count
from svg_pyro.model.draws import Draw, usual_chunk
from svg_pyro.model.features import clips_of
from svg_pyro.model.forecaster import Forecaster
from svg_pyro.model.svg import SVG
from svg_pyro.util.seeds import seed_of


class Spread(NamedTuple):
    """Mean and variance of each value of frames, float64 ``(B, horizon, C, H, W)``.

    Attributes
    ----------
    mean : torch.Tensor
        Over members and their samples.
    aleatoric : torch.Tensor
        What each member itself holds to be open: the mean of the members' variances.
    epistemic : torch.Tensor
        What more data would settle: the variance of the members' means. Unbiased, so
        that where members agree it may fall below 0 by chance.
    """

    mean: torch.Tensor
    aleatoric: torch.Tensor
    epistemic: torch.Tensor

    @property
    def total(self) -> torch.Tensor:
        """The variance of the ensemble's samples, by the law of total variance."""
        return self.aleatoric + self.epistemic


class Ensemble(Forecaster):
    r"""Several models as one predictor: the mixture of their futures in equal parts.

    ::

        p(future | context) = 1/M sum_m p_m(future | context)
        Var[x] = mean_m Var_m[x] + Var_m E_m[x]       aleatoric + epistemic

    Parameters
    ----------
    members : sequence of SVG, str or Path
        Models, or what `svg_pyro.load` takes; of one shape of frames and one context.
    map_location : str or torch.device
        Where members that are loaded go.

    Attributes
    ----------
    members : list of SVG
        The models.
    frame_shape : tuple of int
        ``(C, H, W)`` of the frames that they take.

    Raises
    ------
    ConfigError
        When there is no member, or two differ in their frames or context.
    CheckpointError
        When a member cannot be loaded.

    Examples
    --------
    >>> config = svg_pyro.SVGConfig(channels=1, width=4, g_dim=8, z_dim=3, rnn_size=12)
    >>> ensemble = Ensemble([svg_pyro.SVG(config), svg_pyro.SVG(config)])
    >>> context = torch.rand(2, 2, 1, 64, 64)
    >>> ensemble.predict(context, 3, 5).shape  # 3 of the first, 2 of the second
    torch.Size([5, 2, 3, 1, 64, 64])
    >>> spread = ensemble.spread(context, 3, 8)
    >>> spread.epistemic.shape
    torch.Size([2, 3, 1, 64, 64])
    """

    def __init__(
        self,
        members: Sequence[SVG | str | Path],
        *,
        map_location: str | torch.device = "cpu",
    ) -> None:
        listed = isinstance(members, Iterable) and not isinstance(members, str)
        if not listed or not members:
            raise ConfigError("an ensemble needs members: give a list of one or more")
        self.members = [
            one if isinstance(one, SVG) else load(one, map_location) for one in members
        ]
        self.frame_shape = self.members[0].frame_shape
        self._check()

    def draws(
        self,
        context: torch.Tensor,
        horizon: int,
        num_samples: int = 1,
        *,
        chunk_size: int | None = None,
        noise: bool = False,
        seed: int | None = None,
        actions: torch.Tensor | None = None,
        grad: bool = False,
    ) -> Iterator[Draw]:
        """What `futures` gives, each with its means; see `SVG.futures`.

        Sample i is of member i modulo their number, so that the first samples are of
        all members alike. Members without actions are given none.
        """
        check_count("num_samples", num_samples)
        if chunk_size is None:
            chunk_size = usual_chunk(clips_of(context, actions))
        check_count("chunk_size", chunk_size)
        count = len(self.members)
        # Where no member takes any, the first one says so.
        taken = any(member.config.action_dim for member in self.members)
        drawn = [
            member.draws(
                context,
                horizon,
                len(range(number, num_samples, count)),
                chunk_size=max(1, chunk_size // count),
                noise=noise,
                seed=None if seed is None else seed_of(seed, number),
                actions=actions if member.config.action_dim or not taken else None,
                grad=grad,
            )
            for number, member in enumerate(self.members[:num_samples])
        ]
        return _in_turn(drawn)

    def spread(
        self,
        context: torch.Tensor,
        horizon: int,
        num_samples: int,
        *,
        chunk_size: int | None = None,
        noise: bool = False,
        seed: int | None = None,
        actions: torch.Tensor | None = None,
    ) -> Spread:
        """Mean and variance of the futures, by where the variance is from.

        Parameters
        ----------
        context, horizon, chunk_size, noise, seed, actions
            As in `SVG.futures`. With noise the observation model's own variance is
            part of the aleatoric one.
        num_samples : int
            Futures of each clip, 2 or more of each member.

        Returns
        -------
        Spread

        Raises
        ------
        FramesError
            As `SVG.futures`; or there are fewer than 2 samples of a member.
        """
        check_count("num_samples", num_samples, least=2 * len(self.members))
        moments = [Running(device=context.device) for _ in self.members]
        chunks = self.futures(
            context,
            horizon,
            num_samples,
            chunk_size=chunk_size,
            noise=noise,
            seed=seed,
            actions=actions,
        )
        for chunk in chunks:
            for number, moment in enumerate(moments):
                own = chunk[number :: len(moments)]
                if len(own):
                    moment.update(own)
        return _spread(moments)

    def _check(self) -> None:
        first = self.members[0]
        for member in self.members:
            if member.frame_shape != first.frame_shape:
                raise ConfigError(
                    f"members of an ensemble take frames {member.frame_shape} and "
                    f"{first.frame_shape}; give models of one shape"
                )
            if member.config.n_past != first.config.n_past:
                raise ConfigError(
                    f"members of an ensemble were trained on contexts of "
                    f"{member.config.n_past} and {first.config.n_past} frames; give "
                    "models of one context"
                )


def spread_of(samples: torch.Tensor, members: int) -> Spread:
    """Mean and variance of samples of an ensemble, by where the variance is from.

    Parameters
    ----------
    samples : torch.Tensor
        Float, ``(num_samples, *shape)``: sample i is of member i modulo `members`, 2 or
        more of each.
    members : int
        M.
    """
    moments = [Running(device=samples.device) for _ in range(members)]
    for number, moment in enumerate(moments):
        moment.update(samples[number::members])
    return _spread(moments)


def _spread(moments: Sequence[Running]) -> Spread:
    means = torch.stack([one.mean for one in moments])
    variances = torch.stack([one.variance() for one in moments])
    # Means of few samples scatter by themselves: by sigma**2 / n each.
    errors = torch.stack([one.variance() / one.count for one in moments])
    chance = errors.mean(0) * (1 - 1 / len(moments))
    epistemic = means.var(0, correction=0) - chance
    return Spread(means.mean(0), variances.mean(0), epistemic)


def _in_turn(drawn: Sequence[Iterator[Draw]]) -> Iterator[Draw]:
    """Chunks in which the members take turns; the first ones may have one more."""
    while True:
        round_ = [draw for one in drawn if (draw := next(one, None)) is not None]
        if not round_:
            return
        yield Draw(*(_woven(list(parts)) for parts in zip(*round_, strict=True)))


def _woven(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    if len(parts) == 1:
        return parts[0]
    # A member without actions has one future for all plans.
    clips = max(part.shape[1] for part in parts)
    count = sum(map(len, parts))
    woven = parts[0].new_empty(count, clips, *parts[0].shape[2:])
    for number, part in enumerate(parts):
        woven[number :: len(parts)] = part
    return woven
