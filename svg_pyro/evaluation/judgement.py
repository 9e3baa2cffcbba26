"""How good sampled futures are in words, what is plainly wrong, and what to try."""

from dataclasses import dataclass

from svg_pyro.evaluation.quick import FutureScores

# Samples that lie less far apart, beside their error, look the same. Trained models of
# simulated pushing have 0.4 to 0.6; a model whose latents say nothing has 0.00 to 0.02.
ALIKE = 0.1
# Below this, intervals over samples hold the truth far too seldom.
_TOO_SURE = 0.7
# dB between the best sample and repetition, below which the two are the same.
_SAME = 0.05
# dB by which the best sample beats repetition, below which few would see a difference.
_HARDLY = 1.0


@dataclass(frozen=True)
class Concern:
    """Something that is wrong with a model's futures.

    Attributes
    ----------
    words : str
        What, and what to try: plain sentences.
    advice : tuple of str
        Names of the settings (fields of a configuration) that may mend it.
    """

    words: str
    advice: tuple[str, ...]


def scores_in_words(scores: FutureScores, horizon: int) -> str:
    """How near futures came to the truth, and repetition beside them: a sentence.

    Parameters
    ----------
    scores : FutureScores
        Of one clip or several.
    horizon : int
        Predicted frames.
    """
    if not scores.moving.any():
        return "Nothing moves, so nothing can be said of the futures."
    best, mean, copy = scores.averages()
    return (
        f"PSNR over {horizon} frame{'s' * (horizon > 1)}: {best:.1f} dB for the best "
        f"of {scores.num_samples} futures of a clip, {mean:.1f} dB for one on average, "
        f"{copy:.1f} dB for the last given frame repeated."
    )


def concerns(
    scores: FutureScores, *, stochastic: bool = True, copies: bool = False
) -> list[Concern]:
    """What is plainly wrong with futures that `score_futures` scored.

    Parameters
    ----------
    scores : FutureScores
        Of held-out clips.
    stochastic : bool
        Whether the model has latents; without, its samples are meant to be alike.
    copies : bool
        Whether its decoder can copy pixels (`SVGConfig.pixel_skip`).

    Returns
    -------
    list of Concern
        Empty if the best sample beats repetition and the samples differ.
    """
    wrong = []
    if -_SAME < scores.gain < 0:
        wrong.append(
            Concern(
                "Held-out futures are no other than the last frame repeated, as those "
                "of fresh weights are. Train for more steps.",
                ("steps",),
            )
        )
    elif scores.gain < 0:
        words = (
            "Held-out futures are worse than repeating the last frame: the best of "
            f"{scores.num_samples} has {-scores.gain:.2f} dB less."
        )
        if copies:
            # It has learnt its own scenes by heart.
            more = "Train on more scenes, or for fewer steps."
            wrong.append(Concern(f"{words} {more}", ("steps",)))
        else:
            more = (
                "Train for more steps, let the decoder copy pixels (pixel_skip), lower "
                "beta, or train on more clips."
            )
            wrong.append(Concern(f"{words} {more}", ("steps", "pixel_skip", "beta")))
    if stochastic and scores.spread_skill < ALIKE:
        wrong.append(
            Concern(
                "The samples of a clip hardly differ: they lie "
                f"{scores.spread_skill:.2f} times as far apart as they miss the truth, "
                "where 1 would be right. The latents are hardly used: lower beta, or "
                "train for more steps.",
                ("beta", "steps"),
            )
        )
    return wrong


def verdict(
    scores: FutureScores, *, stochastic: bool = True, copies: bool = False
) -> Concern:
    """How good futures are, against what, and what to try next: one paragraph.

    Parameters
    ----------
    scores : FutureScores
        Of held-out clips.
    stochastic : bool
        Whether the model has latents; without, its samples are meant to be alike.
    copies : bool
        Whether its decoder can copy pixels (`SVGConfig.pixel_skip`).

    Returns
    -------
    Concern
        Of the first of `concerns` if there are any; else of what would improve a model
        with nothing plainly wrong.
    """
    told = concerns(scores, stochastic=stochastic, copies=copies)
    if told:
        words = " ".join(concern.words for concern in told)
        advice = [name for concern in told for name in concern.advice]
        return Concern(words, tuple(dict.fromkeys(advice)))
    if not scores.moving.any():
        return Concern(
            "Nothing moves in the held-out clips, so nothing can be said of the "
            "futures: test on clips in which something happens, or on longer ones.",
            ("horizon", "n_frames"),
        )
    words = (
        f"The best of {scores.num_samples} futures of a held-out clip is "
        f"{scores.gain:.2f} dB nearer to the truth than the last frame repeated"
    )
    if scores.gain < _HARDLY:
        words += ", which is hardly better: train for more steps, or on more clips."
        return Concern(words, ("steps",))
    if stochastic and scores.spread_skill < _TOO_SURE:
        words += (
            f". Its samples lie {scores.spread_skill:.2f} times as far apart as they "
            "miss the truth, where 1 would be right: the model is surer than it should "
            "be. Next, train for more steps, or try a lower beta."
        )
        return Concern(words, ("steps", "beta"))
    words += (
        ". Nothing is plainly wrong. Next, train for more steps or with a wider "
        "network, and score it by published protocols (svg_pyro.evaluation)."
    )
    return Concern(words, ("steps", "width"))
