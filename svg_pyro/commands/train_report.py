"""What a training shows of its model: futures drawn, scores, words on them."""

from svg_pyro.commands.fields import flag_of
from svg_pyro.commands.run_folder import RunOptions
from svg_pyro.commands.settings import Run
from svg_pyro.data.batches import Batch
from svg_pyro.evaluation import (
    FutureScores,
    concerns,
    picture_rows,
    score_futures,
    verdict,
)
from svg_pyro.model.svg import SVG
from svg_pyro.plots.strips import draw_gif, draw_strip
from svg_pyro.plots.training import draw_training
from svg_pyro.training.elbos import ELBOS
from svg_pyro.training.terms import held_out_terms
from svg_pyro.training.trainer import Trainer
from svg_pyro.util.files import write_json


class Pictures:
    """Draws what a run has come to, while it trains.

    Parameters
    ----------
    run : Run
        Its settings.
    test : Batch
        Held-out clips, whose futures are drawn.
    """

    def __init__(self, run: Run, test: Batch) -> None:
        self._run, self._test = run, test

    def draw(self, trainer: Trainer) -> None:
        """Draw and score after a validation; the last futures are drawn as "final"."""
        if trainer.step < trainer.config.steps:
            self._draw(trainer, self._test)
            few = scored(trainer.svg, self._test.first(16), num_samples=5)
            print_concerns(few, trainer.svg)

    def preview(self, trainer: Trainer) -> None:
        """Draw the first clip alone."""
        self._draw(trainer, self._test.first(1))

    def _draw(self, trainer: Trainer, clips: Batch) -> None:
        draw_training(trainer.log_path, self._run.out / "training.png")
        draw_futures(trainer, clips, self._run.options, f"step_{trainer.step:06d}")


def draw_stopped(trainer: Trainer, test: Batch, run: Run) -> None:
    """Draw what a run has come to that was told to leave; once more leaves at once.

    Parameters
    ----------
    trainer : Trainer
        Of the run, which is saved.
    test : Batch
        The first clip is drawn.
    run : Run
        Its settings.
    """
    if trainer.step == 0 or run.options.pictures == 0:
        return
    draw_training(trainer.log_path, run.out / "training.png")
    draw_futures(trainer, test.first(1), run.options, "stopped")
    print(f"open {run.out / 'pictures' / 'stopped_clip_1.gif'}")


def draw_futures(
    trainer: Trainer, clips: Batch, options: RunOptions, name: str
) -> None:
    """Strips and animations of some clips' futures.

    Parameters
    ----------
    trainer : Trainer
        Its model is drawn, into "pictures" of its folder.
    clips : Batch
        The first ``options.pictures`` are drawn.
    options : RunOptions
        Number of pictures and of samples.
    name : str
        How the files' names begin.
    """
    n_past = trainer.svg.config.n_past
    scale = 128 // trainer.svg.config.image_size  # so that 64 pixels can be seen
    for i, clip in enumerate(clips.frames[: options.pictures], 1):
        actions = None if clips.actions is None else clips.actions[i - 1]
        rows = picture_rows(
            trainer.svg,
            clip,
            n_past,
            num_samples=options.num_samples,
            actions=actions,
        )
        path = trainer.out / "pictures" / f"{name}_clip_{i}"
        draw_strip(rows, path.with_suffix(".png"), scale=scale)
        draw_gif(rows, path.with_suffix(".gif"), scale=scale)


def report(
    trainer: Trainer, validation: Batch, test: Batch, options: RunOptions
) -> None:
    """Print and store the held-out KL, and the scores beside the baseline's.

    Parameters
    ----------
    trainer : Trainer
        Its model is scored, into "results.json" of its folder.
    validation, test : Batch
        Clips of the training's length, and of the context's and the predicted frames'.
    options : RunOptions
        Number of samples.
    """
    svg, num_samples = trainer.svg, options.num_samples
    elbo = ELBOS[trainer.config.elbo]()
    nll, kl = held_out_terms(svg, elbo, validation.frames, actions=validation.actions)
    scores = scored(svg, test, num_samples=num_samples)
    best, mean, copy = scores.averages()
    motionless = len(test.frames) - int(scores.moving.sum())
    results = {
        "clips": len(test.frames),
        "horizon": test.frames.shape[1] - svg.config.n_past,
        "num_samples": num_samples,
        "psnr_best": best,
        "psnr_mean": mean,
        "psnr_copy_last_frame": copy,
        "gain": scores.gain,
        "motionless_clips": motionless,
        "spread_skill": scores.spread_skill,
        "nll": nll,
        "kl": kl,
        "step": trainer.step,
    }
    write_json(trainer.out / "results.json", results)
    if motionless < len(test.frames):
        print(futures_line(scores, test.frames.shape[1] - svg.config.n_past))
    if motionless:
        print(
            f"{motionless} of the {len(test.frames)} clips, where nothing moves, are "
            "left out"
        )
    print(f"held-out KL {kl:.2f} nats a frame")
    judged = verdict(scores, **_kind(svg))
    print(f"{judged.words} (See {', '.join(map(flag_of, judged.advice))}.)")


def futures_line(scores: FutureScores, horizon: int) -> str:
    """The scores of sampled futures beside the repeated frame's, in a sentence.

    Parameters
    ----------
    scores : FutureScores
        Of clips in some of which something moves.
    horizon : int
        Predicted frames.
    """
    best, mean, copy = scores.averages()
    return (
        f"held-out PSNR over {horizon} predicted frames, {len(scores.best)} clips: "
        f"best of {scores.num_samples} samples {best:.2f} dB, mean sample {mean:.2f} "
        f"dB, last context frame repeated {copy:.2f} dB; gain {scores.gain:+.2f} dB"
    )


def scored(svg: SVG, clips: Batch, *, num_samples: int) -> FutureScores:
    """Scores of the futures of held-out clips; see `score_futures`."""
    return score_futures(
        svg,
        clips.frames,
        svg.config.n_past,
        num_samples=num_samples,
        actions=clips.actions,
    )


def print_concerns(scores: FutureScores, svg: SVG) -> None:
    """Say in words what is plainly wrong with futures, and which flags may mend it.

    Parameters
    ----------
    scores : FutureScores
        Of held-out clips.
    svg : SVG
        Whose futures they are.
    """
    for concern in concerns(scores, **_kind(svg)):
        print(f"{concern.words} (See {', '.join(map(flag_of, concern.advice))}.)")


def _kind(svg: SVG) -> dict[str, bool]:
    """What of a model decides what is said of its futures."""
    return {"stochastic": svg.prior is not None, "copies": svg.config.pixel_skip}
