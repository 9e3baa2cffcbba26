"""The paper's figures of Moving MNIST: from models to pictures and numbers."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from svg_pyro.commands.train import first_clips
from svg_pyro.data import MovingMNIST, to_float
from svg_pyro.errors import ConfigError, EvaluationError
from svg_pyro.evaluation import paper as analysis
from svg_pyro.plots import paper as figures
from svg_pyro.plots.strips import draw_gif, draw_strip
from svg_pyro.util.files import write_json
from svg_pyro.util.modes import seeded

_SEARCHED = 40  # frames after the context, in which nearly every digit bounces
_SIDES = ("away", "along")


class Skipped(EvaluationError):
    """A figure cannot be drawn from the checkpoints that were given."""


@dataclass(frozen=True)
class Figures:
    """The paper's figures; a method for each writes NAME.png and NAME.json.

    Each returns one line of its main result, and raises `Skipped` where a model that
    the figure compares is missing.

    Attributes
    ----------
    models : dict of str to SVG
        By the names that the figures show, all for grey frames of one size.
    digits : torch.Tensor
        uint8 ``(N, h, h)``, of the test split.
    out : Path
        Folder of the files.
    n_past : int
        Frames of context.
    num_digits : int
        Digits in a clip, as in training.
    clips : int
        Held-out clips for `sharpness` and `curves`.
    num_samples : int
        Futures of each clip.
    horizon : int
        Predicted frames in `sharpness` and `curves`.
    sequences : int
        Clips for `prior` and `bounces`.
    long : int
        Frames of the clips for `prior`, and predicted ones in `rollouts`.
    pictures : int
        Clips in `rollouts`.
    protocol : str
        Of PSNR and SSIM, one of `svg_pyro.metrics.PROTOCOLS`.
    seed : int
        Of clips and samples.
    """

    models: dict
    digits: torch.Tensor
    out: Path
    n_past: int
    num_digits: int = 1
    clips: int = 100
    num_samples: int = 20
    horizon: int = 25
    sequences: int = 500
    long: int = 100
    pictures: int = 2
    protocol: str = "svg"
    seed: int = 0

    def __post_init__(self):
        for name in (
            "n_past num_digits clips num_samples horizon sequences long pictures"
        ).split():
            if getattr(self, name) < 1:
                flag = name.replace("_", "-")
                raise ConfigError(f"--{flag} is {getattr(self, name)}; give 1 or more")
        sizes = {(m.config.channels, m.config.image_size) for m in self.models.values()}
        if len(sizes) != 1 or min(sizes)[0] != 1:
            raise ConfigError(
                "give checkpoints that are all of grey frames of one size"
            )

    def sharpness(self):
        """How the futures of stochastic and deterministic models blur with time."""
        kinds = {svg.prior is None for svg in self.models.values()}
        if len(kinds) < 2:
            raise Skipped("needs a stochastic and a deterministic checkpoint")
        clips = first_clips(self._data(self.n_past + self.horizon), self.clips)
        curves = {}
        for name, svg in self.models.items():
            truth, curves[name] = analysis.sharpness_curves(
                svg, clips, self.n_past, self.num_samples, self.seed
            )
        curves["truth"] = truth
        title = "sharpness: standard deviation of the Laplacian"
        panels = {title: {name: (values, None) for name, values in curves.items()}}
        figures.draw_curves(panels, self.n_past, self.out / "sharpness.png")
        numbers = {name: values.tolist() for name, values in curves.items()}
        self._write("sharpness", {"per_step": numbers})
        last = {name: (curves[name][-1] / truth[-1]).item() for name in self.models}
        return _said("sharpness of the last frame over that of the truth", last)

    def bounces(self):
        """Where a digit goes after a bounce, truth against samples."""
        if self.num_digits != 1:
            raise Skipped("needs one digit in a clip (--num-digits 1)")
        data = self._data(self.n_past + _SEARCHED)
        bounces = analysis.find_bounces(data, self.n_past, self.sequences)
        samples = {}
        for name, svg in self.models.items():
            truth, samples[name] = analysis.displacements(
                svg, bounces, self.num_samples, self.seed
            )
        numbers = {name: _distances(truth, own) for name, own in samples.items()}
        # So far apart are samples of these sizes that are both the truth.
        numbers["halves of the truth"] = _distances(truth[::2], truth[1::2])
        path = self.out / "bounces.png"
        figures.draw_displacements({"truth": truth, **samples}, path)
        self._write("bounces", {"clips": len(truth), "distances": numbers})
        away = {name: d["away"]["wasserstein"] for name, d in numbers.items()}
        return _said("Wasserstein distance away from the edge [pixels]", away)

    def prior(self):
        """The learned prior's standard deviation against time, bounces marked.

        Drawn for clips that move alike. The AUC with which its entropy tells the
        frame after a bounce from the others is also given for clips that do not.
        """
        learned = {n: m for n, m in self.models.items() if m.config.prior == "learned"}
        if not learned:
            raise Skipped("needs a checkpoint with a learned prior")
        numbers, scales = {name: {} for name in learned}, {}
        for motion in ("own", "synchronised"):
            frames, bounces = self._bouncing(motion == "synchronised")
            for name, svg in learned.items():
                found = analysis.prior_statistics(svg, frames)
                scales[name] = found.scale
                numbers[name][motion] = {
                    f"from frame {first}": analysis.bounce_auc(
                        found.entropy, bounces, first
                    )
                    for first in (2, 3, self.n_past + 1)
                }
        figures.draw_prior(scales, bounces[0], self.out / "prior.png")
        mean = {name: scale.mean(0).tolist() for name, scale in scales.items()}
        self._write("prior", {"auc": numbers, "synchronised_scale": mean})
        first = f"from frame {self.n_past + 1}"
        auc = {name: of["own"][first] for name, of in numbers.items()}
        return _said(f"AUC of the entropy, {first} on", auc, digits=4)

    def curves(self):
        """PSNR and SSIM of the best sample against time."""
        clips = first_clips(self._data(self.n_past + self.horizon), self.clips)
        numbers, panels = {}, {"psnr": {}, "ssim": {}}
        for name, svg in self.models.items():
            scores = analysis.score_curves(
                svg, clips, self.n_past, self.num_samples, self.protocol, self.seed
            )
            best = {metric: kinds["best"] for metric, kinds in scores.items()}
            numbers[name] = {k: _as_numbers(estimate) for k, estimate in best.items()}
            for k, estimate in best.items():
                bars = estimate.per_step.cpu(), estimate.per_step_half.cpu()
                panels[k][name] = bars
        titles = {"psnr": "PSNR [dB]", "ssim": "SSIM"}
        panels = {f"{titles[k]}, best sample": panel for k, panel in panels.items()}
        figures.draw_curves(panels, self.n_past, self.out / "curves.png")
        self._write("curves", {"best": numbers})
        means = {name: of["psnr"]["mean"] for name, of in numbers.items()}
        return _said("PSNR of the best sample [dB]", means)

    def rollouts(self):
        """One long future of each model, as strips and animations."""
        data = self._data(self.n_past + self.long)
        for i, clip in enumerate(first_clips(data, self.pictures), 1):
            truth = to_float(clip)
            context, rows = truth[: self.n_past], {"truth": truth}
            for name, svg in self.models.items():
                device = next(svg.parameters()).device
                with seeded(self.seed, device):
                    future = svg.predict(context[None].to(device), self.long)
                rows[name] = torch.cat([context, future[0, 0].cpu()])
            path = self.out / f"rollouts_{i}"
            draw_strip(rows, self.n_past, path.with_suffix(".png"))
            draw_gif(rows, self.n_past, path.with_suffix(".gif"), frames_per_second=10)
        return f"{self.long} frames of {i} clips"

    def _data(self, n_frames, synchronised=False):
        size = next(iter(self.models.values())).config.image_size
        return MovingMNIST(
            self.digits, "test", n_frames, self.num_digits, False, size, self.seed,
            synchronised,
        )  # fmt: skip

    def _bouncing(self, synchronised):
        """Frames ``(B, T, 1, H, W)`` and bounces ``(B, T, D)`` of long clips."""
        data = self._data(self.long, synchronised)
        indices = range(min(self.sequences, len(data)))
        clips = [data.clip_with_bounces(i) for i in indices]
        return (torch.stack([c[key] for c in clips]) for key in ("frames", "bounces"))

    def _write(self, name, numbers):
        settings = {k: v for k, v in vars(self).items() if isinstance(v, (int, str))}
        configs = {name: asdict(svg.config) for name, svg in self.models.items()}
        content = {**numbers, "settings": settings, "models": configs}
        write_json(self.out / f"{name}.json", content)


FIGURES = ("sharpness", "bounces", "prior", "curves", "rollouts")


def _distances(truth, own):
    """Distances of two sets of displacements, away from the edge and along it."""
    return {
        side: {
            "total_variation": analysis.total_variation(truth[..., i], own[..., i]),
            "wasserstein": analysis.wasserstein(truth[..., i], own[..., i]),
        }
        for i, side in enumerate(_SIDES)
    }


def _as_numbers(estimate):
    return {
        "per_step": estimate.per_step.tolist(),
        "per_step_half_width_95": estimate.per_step_half.tolist(),
        "mean": estimate.headline,
        "half_width_95": estimate.headline_half,
    }


def _said(words, values, digits=2):
    return f"{words}: " + ", ".join(f"{n} {v:.{digits}f}" for n, v in values.items())
