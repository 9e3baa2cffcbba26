"""The main job of the training examples: train, score sampled futures, draw them."""

import torch

from svg_pyro.evaluation import picture_rows, score_futures
from svg_pyro.model.svg import SVG
from svg_pyro.plots.strips import draw_gif, draw_strip
from svg_pyro.plots.training import draw_training
from svg_pyro.training import distributed
from svg_pyro.training.elbos import ELBOS
from svg_pyro.training.terms import held_out_terms
from svg_pyro.training.trainer import Trainer
from svg_pyro.util.files import write_json


def first_clips(data, count):
    """The first clips of a data set as one uint8 tensor ``(B, T, C, H, W)``."""
    return torch.stack([data.clip(i) for i in range(min(count, len(data)))])


def run_training(args, device, out, preset, make_data):
    """Train, score held-out futures beside the baseline, and draw them.

    Under torchrun all processes train; the first one alone scores and draws.

    Parameters
    ----------
    args : argparse.Namespace
        Of `training_parser`.
    device, out, preset
        Of `plan`.
    make_data : callable
        ``make_data(split, n_frames)`` gives the `ClipDataset` "train" or "test".
    """
    config, training = preset.model, preset.training
    train_set = make_data("train", training.n_frames)
    validation = test = None
    if distributed.rank() == 0:
        length = config.n_past + preset.horizon
        validation = first_clips(make_data("test", training.n_frames), args.test_clips)
        test = first_clips(make_data("test", length), args.test_clips)
        print(f"{len(train_set):,} training clips; {len(test):,} others are scored")
    distributed.pass_turn()
    torch.manual_seed(training.seed)
    svg = SVG(config).to(device)

    def draw(trainer):
        if trainer.step < training.steps:  # the last ones are drawn as "final"
            draw_training(trainer.log_path, out / "training.png")
            draw_futures(trainer, test, args, f"step_{trainer.step:06d}")

    shown = None if validation is None else validation[:64]
    trainer = Trainer(svg, train_set, training, out, shown, draw, preset.data)
    if args.resume:
        trainer.resume()
    done = trainer.run()
    distributed.end()
    if trainer.rank > 0:
        return
    if not done:
        print(f"stopped at step {trainer.step}; the same command with --resume goes on")
        return
    report(trainer, validation, test, args)
    draw_training(trainer.log_path, out / "training.png")
    draw_futures(trainer, test, args, "final")
    drawn = args.pictures > 0
    print(f"open {out / ('pictures/final_clip_1.gif' if drawn else 'training.png')}")


def draw_futures(trainer, clips, args, name):
    """Strips and animations of some clips' futures, named after `name`."""
    n_past = trainer.svg.config.n_past
    scale = 128 // trainer.svg.config.image_size  # so that 64 pixels can be seen
    for i, clip in enumerate(clips[: args.pictures], 1):
        rows = picture_rows(trainer.svg, clip, n_past, args.num_samples)
        path = trainer.out / "pictures" / f"{name}_clip_{i}"
        draw_strip(rows, n_past, path.with_suffix(".png"), scale)
        draw_gif(rows, n_past, path.with_suffix(".gif"), scale)


def report(trainer, validation, test, args):
    """Print and store the held-out KL, and the scores beside the baseline's."""
    svg = trainer.svg
    elbo = ELBOS[trainer.config.elbo]()
    nll, kl = held_out_terms(svg, elbo, validation)
    scores = score_futures(svg, test, svg.config.n_past, args.num_samples)
    best, mean, copy = (
        s.mean().item() for s in (scores.best, scores.mean, scores.copy)
    )
    results = {
        "clips": len(test), "horizon": test.shape[1] - svg.config.n_past,
        "num_samples": args.num_samples, "psnr_best": best, "psnr_mean": mean,
        "psnr_copy_last_frame": copy, "gain": scores.gain, "nll": nll, "kl": kl,
        "step": trainer.step,
    }  # fmt: skip
    write_json(trainer.out / "results.json", results)
    print(
        f"held-out PSNR over {results['horizon']} predicted frames, {len(test)} clips: "
        f"best of {args.num_samples} samples {best:.2f} dB, mean sample {mean:.2f} dB, "
        f"last context frame repeated {copy:.2f} dB; gain {scores.gain:+.2f} dB"
    )
    print(f"held-out KL {kl:.2f} nats a frame")
