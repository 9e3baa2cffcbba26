"""Scores of N samples as a distribution: of single values, N along the first axis.

If truth and samples are exchangeable (a calibrated model), the truth's rank among its
samples is uniform on 0..N, the spread-skill ratio is 1, and intervals cover as often as
they say.
"""

import torch

from svg_pyro.metrics.checks import check_spread


def crps(
    samples: torch.Tensor, truth: torch.Tensor, *, fair: bool = True
) -> torch.Tensor:
    """Continuous ranked probability score of each value (Gneiting & Raftery 2007).

        mean_i |x_i - y| - sum_{i<j} |x_i - x_j| / M

    with M = N (N - 1), which is unbiased for the score of the distribution that the
    samples come from (fair), or M = N^2, the score of the samples' own distribution
    function. By sorting: sum_{i<j} |x_i - x_j| = sum_i (2i - N - 1) x_(i).

    Parameters
    ----------
    samples : torch.Tensor
        Float, shape ``(N, *shape)``; N is at least 2 where `fair`.
    truth : torch.Tensor
        Float, shape ``(*shape,)``.
    fair : bool
        Whether M = N (N - 1).

    Returns
    -------
    torch.Tensor
        Shape ``(*shape,)``, in the unit of the values, lower is better.

    Raises
    ------
    EvaluationError
        One sample, or none, and `fair`.
    """
    if fair:
        check_spread(samples)
    ordered = (samples - truth).movedim(0, -1).sort(-1).values
    return crps_of_sorted(ordered, fair=fair)


def rank_histogram(
    samples: torch.Tensor,
    truth: torch.Tensor,
    *,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """How often the truth has each rank among its N samples.

    A rank is the number of samples below the truth. Among k samples equal to it, it is
    drawn from the k + 1 possible ones, so that ties leave a calibrated model uniform.

    Parameters
    ----------
    samples : torch.Tensor
        Float, shape ``(N, *shape)``.
    truth : torch.Tensor
        Float, shape ``(*shape,)``.
    generator : torch.Generator, optional
        On the samples' device; breaks the ties.

    Returns
    -------
    torch.Tensor
        int64, shape ``(N + 1,)``.
    """
    ordered = samples.flatten(1).T.contiguous().sort(-1).values
    below, ties = places_of_sorted(ordered, truth.flatten())
    return ranks_of_places(below, ties, len(samples), generator)


def reliability(histogram: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How often central intervals cover the truth, beside how often they should.

    The interval from the a-th smallest to the a-th largest sample covers a calibrated
    truth with probability (N + 1 - 2a) / (N + 1). Ties count as in `rank_histogram`.

    Parameters
    ----------
    histogram : torch.Tensor
        Counts of ranks, shape ``(*batch, N + 1)``.

    Returns
    -------
    nominal : torch.Tensor
        Ascending, in (0, 1), shape ``(N // 2,)``, float64.
    observed : torch.Tensor
        In [0, 1], shape ``(*batch, N // 2)``, float64.
    """
    ranks = histogram.shape[-1]
    total = histogram.sum(-1, keepdim=True).double()
    inside = [histogram[..., a : ranks - a].sum(-1) for a in range(1, (ranks + 1) // 2)]
    steps = torch.arange(1, (ranks + 1) // 2, device=histogram.device)
    nominal = (ranks - 2 * steps).double() / ranks
    return nominal.flip(0), (torch.stack(inside, -1) / total).flip(-1)


def spread_skill(samples: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Spread over skill: sqrt((N + 1) / N * mean variance) / RMSE of the mean sample.

    1 where calibrated, less where samples are too alike (Fortin et al. 2014). NaN where
    both are 0.

    Parameters
    ----------
    samples : torch.Tensor
        Float, shape ``(N, *shape)``, N at least 2.
    truth : torch.Tensor
        Float, shape ``(*shape,)``.

    Returns
    -------
    torch.Tensor
        A scalar.

    Raises
    ------
    EvaluationError
        N is less than 2.
    """
    check_spread(samples)
    error = (samples.mean(0) - truth).square().mean()
    return spread_skill_of(samples.var(0).mean(), error, len(samples))


def diversity(samples: torch.Tensor) -> torch.Tensor:
    """How far samples lie apart: root of the mean squared distance of two, per value.

    With D values in a frame, sqrt(mean_{i<j} ||x_i - x_j||^2 / D). Mean squared
    distances need no pairs: mean_{i<j} (x_i - x_j)^2 is twice the variance with N - 1.

    Parameters
    ----------
    samples : torch.Tensor
        Float, shape ``(N, *batch, C, H, W)``, N at least 2.

    Returns
    -------
    torch.Tensor
        Shape ``(*batch,)``, in the unit of the values.

    Raises
    ------
    EvaluationError
        N is less than 2.
    """
    check_spread(samples)
    return (2 * samples.var(0).flatten(-3).mean(-1)).sqrt()


def crps_of_sorted(differences: torch.Tensor, *, fair: bool) -> torch.Tensor:
    """CRPS from x - y, sorted along the last axis; see `crps`."""
    n = differences.shape[-1]
    places = torch.arange(
        1 - n, n, 2, dtype=differences.dtype, device=differences.device
    )
    pairs = (differences * places).sum(-1)
    return differences.abs().mean(-1) - pairs / (n * (n - 1) if fair else n * n)


def places_of_sorted(
    ordered: torch.Tensor, truth: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """How many of the sorted samples ``(P, N)`` are below values ``(P,)``, and equal.

    Returns
    -------
    below, ties : torch.Tensor
        int32, ``(P,)``.
    """
    kind = torch.promote_types(ordered.dtype, truth.dtype)
    ordered, truth = ordered.to(kind), truth[:, None].to(kind).contiguous()
    below = torch.searchsorted(ordered, truth, right=False, out_int32=True)[:, 0]
    above = torch.searchsorted(ordered, truth, right=True, out_int32=True)[:, 0]
    return below, above - below


def ranks_of_places(
    below: torch.Tensor,
    ties: torch.Tensor,
    count: int,
    generator: torch.Generator | None,
) -> torch.Tensor:
    """Histogram of ranks among `count` samples, of what `places_of_sorted` found."""
    # Drawn where the generator lives, so that every device breaks ties alike.
    where = below.device if generator is None else generator.device
    draw = torch.rand(
        below.shape, generator=generator, dtype=torch.float64, device=where
    )
    ranks = below + (draw.to(below.device) * (ties + 1)).long()
    return ranks.bincount(minlength=count + 1)


def spread_skill_of(
    variance: torch.Tensor,
    squared_error: torch.Tensor,
    count: int,
) -> torch.Tensor:
    """Spread over skill, from what `spread_skill` averages and the samples' number."""
    return ((count + 1) / count * variance / squared_error).sqrt()
