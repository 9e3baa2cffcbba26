"""The paper's figures of Moving MNIST: from models to pictures and numbers."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from svg_pyro.commands.datasets import ClipRequest, DigitOptions, first_clips
from svg_pyro.commands.figure_settings import FigureSettings, LabelledDigits, Skipped
from svg_pyro.data import MovingMNIST
from svg_pyro.errors import ConfigError
from svg_pyro.evaluation import ModelCandidate
from svg_pyro.evaluation import paper as analysis
from svg_pyro.metrics.estimates import Estimate
from svg_pyro.model.svg import SVG
from svg_pyro.plots import paper as figures
from svg_pyro.plots.strips import draw_gif, draw_strip, rows_of
from svg_pyro.util.files import write_json
from svg_pyro.util.modes import seeded
from svg_pyro.util.tensors import to_float

_SEARCHED = 40  # frames after the context, in which nearly every digit bounces
_SIDES = ("away", "along")


@dataclass(frozen=True)
class Figures:
    """The paper's figures; a method for each writes NAME.png and NAME.json.

    Each returns one line of its main result, and raises `Skipped` where a model that
    the figure compares is missing.

    Attributes
    ----------
    models : mapping of str to SVG
        By the names that the figures show, all for grey frames of one size.
    digits : torch.Tensor
        uint8 ``(N, h, h)``, of the test split.
    out : Path
        Folder of the files.
    n_past : int
        Frames of context.
    settings : FigureSettings
        Which clips and how many.
    labelled : callable, optional
        Gives digits with their classes, for `recognition`.

    Raises
    ------
    ConfigError
        If a model is of colour, or two are of frames of different sizes.
    """

    models: Mapping[str, SVG]
    digits: Tensor
    out: Path
    n_past: int
    settings: FigureSettings
    labelled: Callable[[], LabelledDigits] | None = None

    def __post_init__(self) -> None:
        sizes = {(m.config.channels, m.config.image_size) for m in self.models.values()}
        if len(sizes) != 1 or min(sizes)[0] != 1:
            raise ConfigError(
                "give checkpoints that are all of grey frames of one size"
            )

    def sharpness(self) -> str:
        """How the futures of stochastic and deterministic models blur with time."""
        kinds = {svg.prior is None for svg in self.models.values()}
        if len(kinds) < 2:
            raise Skipped("needs a stochastic and a deterministic checkpoint")
        clips = self._held_out()
        curves = {}
        settings = self.settings
        for name, svg in self.models.items():
            truth, curves[name] = analysis.sharpness_curves(
                ModelCandidate(name, svg),
                clips,
                self.n_past,
                settings.num_samples,
                seed=settings.seed,
            )
        curves["truth"] = truth
        title = "sharpness: standard deviation of the Laplacian"
        panels = {title: {name: (values, None) for name, values in curves.items()}}
        figures.draw_curves(panels, self.n_past, self.out / "sharpness.png")
        numbers = {name: values.tolist() for name, values in curves.items()}
        self._write("sharpness", {"per_step": numbers})
        last = {name: (curves[name][-1] / truth[-1]).item() for name in self.models}
        return _line("sharpness of the last frame over that of the truth", last)

    def bounces(self) -> str:
        """Where a digit goes after a bounce, truth against samples."""
        if self.settings.num_digits != 1:
            raise Skipped("needs one digit in a clip (--num-digits 1)")
        data = self._data(self.n_past + _SEARCHED)
        bounces = analysis.find_bounces(data, self.n_past, self.settings.sequences)
        samples = {}
        for name, svg in self.models.items():
            truth, samples[name] = analysis.displacements(
                ModelCandidate(name, svg),
                bounces,
                self.settings.num_samples,
                seed=self.settings.seed,
            )
        numbers = {name: _distances(truth, own) for name, own in samples.items()}
        # So far apart are samples of these sizes that are both the truth.
        numbers["halves of the truth"] = _distances(truth[::2], truth[1::2])
        path = self.out / "bounces.png"
        figures.draw_displacements({"truth": truth, **samples}, path)
        self._write("bounces", {"clips": len(truth), "distances": numbers})
        away = {name: d["away"]["wasserstein"] for name, d in numbers.items()}
        return _line("Wasserstein distance away from the edge [pixels]", away)

    def prior(self) -> str:
        """The learned prior's standard deviation against time, bounces marked.

        Drawn for clips that move alike. The AUC with which its entropy tells the
        frame after a bounce from the others is also given for clips that do not.
        """
        learned = {n: m for n, m in self.models.items() if m.config.prior == "learned"}
        if not learned:
            raise Skipped("needs a checkpoint with a learned prior")
        numbers: dict[str, dict[str, Any]] = {name: {} for name in learned}
        scales = {}
        for motion in ("own", "synchronised"):
            frames, bounces = self._bouncing(synchronised=motion == "synchronised")
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
        return _line(f"AUC of the entropy, {first} on", auc, digits=4)

    def curves(self) -> str:
        """PSNR and SSIM of the best sample against time.

        SSIM also of the process that made the clips, which none can surpass; its PSNR
        is infinite until a digit bounces.
        """
        clips, settings = self._held_out(), self.settings
        numbers: dict[str, dict[str, Any]] = {}
        panels: dict[str, dict[str, Any]] = {"psnr": {}, "ssim": {}}
        found = {
            name: analysis.score_curves(
                ModelCandidate(name, svg),
                clips,
                self.n_past,
                settings.num_samples,
                protocol=settings.protocol,
                seed=settings.seed,
            )
            for name, svg in self.models.items()
        }
        found[_PROCESS] = {"ssim": self._of_process()}
        for name, scores in found.items():
            best = {metric: kinds["best"] for metric, kinds in scores.items()}
            numbers[name] = {k: _as_numbers(estimate) for k, estimate in best.items()}
            for k, estimate in best.items():
                bars = estimate.per_step.cpu(), estimate.per_step_half.cpu()
                panels[k][name] = bars
        titles = {"psnr": "PSNR [dB]", "ssim": "SSIM"}
        panels = {f"{titles[k]}, best sample": panel for k, panel in panels.items()}
        figures.draw_curves(panels, self.n_past, self.out / "curves.png")
        self._write("curves", {"best": numbers})
        psnr, ssim = (
            {name: of[metric]["mean"] for name, of in numbers.items() if metric in of}
            for metric in ("psnr", "ssim")
        )
        likeness = _line("SSIM", ssim, digits=3)
        return f"{_line('PSNR of the best sample [dB]', psnr)}; {likeness}"

    def _of_process(self) -> dict[str, Estimate]:
        """SSIM of futures that the process itself draws."""
        settings = self.settings
        return analysis.process_curves(
            self._data(self.n_past + settings.horizon),
            self.n_past,
            settings.clips,
            settings.num_samples,
            protocol=settings.protocol,
            seed=settings.seed,
        )["ssim"]

    def recognition(self) -> str:
        """How often a classifier still names the digit of a future rightly."""
        if self.settings.num_digits != 1:
            raise Skipped("needs one digit in a clip (--num-digits 1)")
        if self.labelled is None:
            raise Skipped("needs digits with labels")
        known = self.labelled()
        recognise = analysis.Recogniser(known.digits, known.labels)
        data = self._data(self.n_past + self.settings.horizon)
        found = {
            name: analysis.recognition(
                ModelCandidate(name, svg),
                data,
                known.test_labels,
                recognise,
                n_past=self.n_past,
                clips=self.settings.clips,
                num_samples=self.settings.num_samples,
                seed=self.settings.seed,
            )
            for name, svg in self.models.items()
        }
        truth = next(iter(found.values())).truth
        curves = {name: (own.best, None) for name, own in found.items()}
        panel = {**curves, "truth": (truth, None)}
        title = "share of best samples whose digit is named rightly"
        figures.draw_curves({title: panel}, self.n_past, self.out / "recognition.png")
        numbers = {
            name: {"best": own.best.tolist(), "any_sample": own.any_sample.tolist()}
            for name, own in found.items()
        }
        self._write("recognition", {"per_step": numbers, "truth": truth.tolist()})
        last = {name: own.best[-1].item() for name, own in found.items()}
        return _line(
            "share of best samples named rightly at the last frame",
            {**last, "truth": truth[-1].item()},
        )

    def rollouts(self) -> str:
        """One long future of each model, as strips and animations."""
        data = self._data(self.n_past + self.settings.long)
        for i, clip in enumerate(first_clips(data, self.settings.pictures).frames, 1):
            truth = to_float(clip)
            context, futures = truth[: self.n_past], {}
            for name, svg in self.models.items():
                device = next(svg.parameters()).device
                with seeded(self.settings.seed, device):
                    future = svg.predict(context[None].to(device), self.settings.long)
                futures[name] = future[0, 0]
            path = self.out / f"rollouts_{i}"
            rows = rows_of(context, futures, truth=truth[self.n_past :])
            draw_strip(rows, path.with_suffix(".png"))
            draw_gif(rows, path.with_suffix(".gif"), frames_per_second=10)
        return f"{self.settings.long} frames of {i} clips"

    def _held_out(self) -> Tensor:
        data = self._data(self.n_past + self.settings.horizon)
        return first_clips(data, self.settings.clips).frames

    def _data(self, n_frames: int, *, synchronised: bool = False) -> MovingMNIST:
        config = next(iter(self.models.values())).config
        request = ClipRequest("test", n_frames, config, seed=self.settings.seed)
        options = DigitOptions(num_digits=self.settings.num_digits)
        return options.clips(
            request, lambda split: self.digits, synchronised=synchronised
        )

    def _bouncing(self, *, synchronised: bool) -> tuple[Tensor, Tensor]:
        """Frames ``(B, T, 1, H, W)`` and bounces ``(B, T, D)`` of long clips."""
        data = self._data(self.settings.long, synchronised=synchronised)
        indices = range(min(self.settings.sequences, len(data)))
        clips = [data.clip_with_bounces(i) for i in indices]
        frames, bounces = (
            torch.stack([c[key] for c in clips]) for key in ("frames", "bounces")
        )
        return frames, bounces

    def _write(self, name: str, numbers: Mapping[str, Any]) -> None:
        settings = {"n_past": self.n_past, **asdict(self.settings)}
        configs = {name: asdict(svg.config) for name, svg in self.models.items()}
        content = {**numbers, "settings": settings, "models": configs}
        write_json(self.out / f"{name}.json", content)


_PROCESS = "the process itself"
FIGURES = ("sharpness", "bounces", "prior", "curves", "recognition", "rollouts")


def _distances(truth: Tensor, own: Tensor) -> dict[str, dict[str, float]]:
    """Distances of two sets of displacements, away from the edge and along it."""
    return {
        side: {
            "total_variation": analysis.total_variation(truth[..., i], own[..., i]),
            "wasserstein": analysis.wasserstein(truth[..., i], own[..., i]),
        }
        for i, side in enumerate(_SIDES)
    }


def _as_numbers(estimate: Estimate) -> dict[str, Any]:
    """An estimate as JSON can hold it."""
    return {
        "per_step": estimate.per_step.tolist(),
        "per_step_half_width_95": estimate.per_step_half.tolist(),
        "mean": estimate.headline,
        "half_width_95": estimate.headline_half,
    }


def _line(words: str, values: Mapping[str, float], digits: int = 2) -> str:
    return f"{words}: " + ", ".join(f"{n} {v:.{digits}f}" for n, v in values.items())
