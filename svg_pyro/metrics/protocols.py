"""What the numbers of the literature mean: one object for each protocol.

All three average over frames and clips, in this order: a clip's value is its mean over
time, the headline the mean over clips. Equal frames have an infinite PSNR, and no
protocol caps it: clips in which there are such frames are counted and left out of the
headline; see `Estimate`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from svg_pyro.errors import EvaluationError
from svg_pyro.metrics.images import FrameScores

HIGHER_IS_BETTER = {"psnr", "ssim"}


@dataclass(frozen=True)
class PublishedTest:
    """The test behind a protocol's published numbers on one data set.

    Attributes
    ----------
    horizon : int
        Predicted frames.
    clips : int or None
        Test clips; None where their number is not known.
    """

    horizon: int
    clips: int | None = None


@dataclass(frozen=True)
class Protocol:
    """How samples of a clip are scored, and which of them counts.

    Attributes
    ----------
    name : str
        As tables and settings have it.
    window : str
        Of SSIM, a key of `svg_pyro.metrics.images.WINDOWS`.
    chosen_by : str or None
        The metric by whose mean over time the best and the worst sample are chosen, for
        all metrics; None: each metric chooses its own.
    ddof : int
        A standard deviation over K clips divides by K - `ddof`.
    best_of_equals : str
        Which one of equally good samples is the best one: "first" or "last". (The worst
        one is always the first.) It matters where other metrics follow the choice.
    tests : mapping of str to PublishedTest
        By data set: "bair", "kth", "smmnist".
    words : str
        What it reproduces, and how: for a person who reads its numbers.
    """

    name: str
    window: str
    chosen_by: str | None
    ddof: int
    best_of_equals: str = "first"
    tests: Mapping[str, PublishedTest] = field(default_factory=dict)
    words: str = ""

    def pick(self, scores: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The protocol's metrics, out of those of `FrameScores` and others'.

        Parameters
        ----------
        scores : dict of str to torch.Tensor
            Those that start with "ssim_" are SSIM under a window.

        Returns
        -------
        dict of str to torch.Tensor
            "mse", "psnr", "ssim" and the others.
        """
        own = {"ssim": scores[f"ssim_{self.window}"]}
        others = {k: v for k, v in scores.items() if not k.startswith("ssim_")}
        return {**others, **own}

    def score(
        self,
        truth: torch.Tensor,
        samples: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Curves over time of each sample of each clip.

        Parameters
        ----------
        truth : torch.Tensor
            Float, shape ``(B, T, C, H, W)``, values in [0, 1].
        samples : torch.Tensor
            Float, shape ``(N, B, T, C, H, W)``, values in [0, 1].

        Returns
        -------
        dict of str to torch.Tensor
            "mse"; "psnr" in dB, the mean over channels of each channel's; "ssim".
            Shapes ``(N, B, T)``, float64.

        Raises
        ------
        EvaluationError
            The shapes do not fit, or values are not in [0, 1].
        """
        return self.pick(FrameScores(truth, (self.window,))(samples))

    def best(self, curves: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Which sample is each clip's best.

        Parameters
        ----------
        curves : dict of str to torch.Tensor
            Metrics to curves ``(N, B, T)``. PSNR and SSIM are better the higher they
            are, all others the lower.

        Returns
        -------
        dict of str to torch.Tensor
            Metrics to indices ``(B,)``; of equals as `best_of_equals` says.
        """
        ranking = self.ranking(curves)
        if self.best_of_equals == "first":
            return {metric: values.argmax(0) for metric, values in ranking.items()}
        return {
            metric: len(values) - 1 - values.flip(0).argmax(0)
            for metric, values in ranking.items()
        }

    def worst(self, curves: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Which sample is each clip's worst, the first one of equals; see `best`."""
        return {k: v.argmin(0) for k, v in self.ranking(curves).items()}

    def ranking(self, curves: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """By what samples are chosen: higher is better.

        Parameters
        ----------
        curves : dict of str to torch.Tensor
            Metrics to curves ``(N, B, T)``.

        Returns
        -------
        dict of str to torch.Tensor
            Metrics to values ``(N, B)``.
        """
        values = {}
        for metric in curves:
            by = self.chosen_by or metric
            mean = curves[by].mean(-1)
            values[metric] = mean if by in HIGHER_IS_BETTER else -mean
        return values


# Frames that Denton and Fergus (2018) predict.
_FIRST_TESTS = {
    "bair": PublishedTest(28),
    "kth": PublishedTest(30),
    "smmnist": PublishedTest(25),
}
# Those of SRVP's test files.
_SRVP_TESTS = {
    "bair": PublishedTest(28, clips=256),
    "kth": PublishedTest(30, clips=1000),
    "smmnist": PublishedTest(20, clips=5000),
}

PROTOCOLS = {
    # The first code of SVG (Denton & Fergus 2018): utils.eval_seq, and
    # generate_svg_lp.py, which ranks samples by SSIM alone and takes the last one.
    "svg": Protocol(
        "svg",
        window="uniform",
        chosen_by="ssim",
        ddof=1,
        best_of_equals="last",
        tests=_FIRST_TESTS,
        words="The first code of SVG (Denton and Fergus 2018): SSIM by a 7x7 uniform "
        "window; best and worst sample by the mean SSIM over time, for all metrics.",
    ),
    # SRVP (Franceschi et al. 2020): test.py, whose PSNR is by channel too.
    "srvp": Protocol(
        "srvp",
        window="gaussian",
        chosen_by=None,
        ddof=0,
        tests=_SRVP_TESTS,
        words="SRVP (Franceschi et al. 2020): SSIM by an 11x11 Gaussian window; each "
        "metric chooses its own best and worst sample by its mean over time.",
    ),
    # Finn et al. (2016), by finn_eval_seq in the first code of SVG. They predict one
    # future: that each metric chooses its own sample is our addition.
    "finn": Protocol(
        "finn",
        window="gaussian",
        chosen_by=None,
        ddof=1,
        tests=_FIRST_TESTS,
        words="Finn et al. (2016), as in the first code of SVG: SSIM by an 11x11 "
        "Gaussian window. That each metric chooses its own sample is an addition.",
    ),
}


def published_test(
    protocols: Sequence[str], data: str, *, with_clips: bool = False
) -> PublishedTest | None:
    """The test by which the first of some protocols is published on a data set.

    Parameters
    ----------
    protocols : sequence of str
        Names of `PROTOCOLS`.
    data : str
        Of the data set: "bair", "kth", "smmnist".
    with_clips : bool
        Ask for one whose number of clips is known.

    Returns
    -------
    PublishedTest or None
        None if none of the protocols has one.

    Raises
    ------
    EvaluationError
        A protocol is unknown or given twice, or there are none.
    """
    for protocol in find_protocols(protocols):
        test = protocol.tests.get(data)
        if test is not None and (test.clips is not None or not with_clips):
            return test
    return None


def find_protocols(names: Sequence[str]) -> list[Protocol]:
    """The protocols of these names.

    Parameters
    ----------
    names : sequence of str
        Keys of `PROTOCOLS`.

    Returns
    -------
    list of Protocol
        In the same order.

    Raises
    ------
    EvaluationError
        One is unknown or given twice, or there are none.
    """
    if not names:
        raise EvaluationError(
            f"no protocol was asked for; there are {', '.join(PROTOCOLS)}"
        )
    for name in names:
        if name not in PROTOCOLS:
            raise EvaluationError(
                f"no protocol {name!r}; there are {', '.join(PROTOCOLS)}"
            )
    # Each clip would count twice, and intervals be too narrow.
    if len(set(names)) < len(names):
        raise EvaluationError(
            f"the protocols are {', '.join(names)}; give each of them once"
        )
    return [PROTOCOLS[name] for name in names]
