"""Training on clips of several lengths, padded, as on the same clips cut."""

import dataclasses

import numpy as np
import pytest
import torch
from pyro.infer import Trace_ELBO
from support.squares import Squares

from svg_pyro import SVG, TrainingConfig
from svg_pyro.commands.datasets import ClipRequest, VideoOptions
from svg_pyro.data.batches import batch_of
from svg_pyro.training.own_means import with_own_means
from svg_pyro.training.trainer import Trainer
from svg_pyro.util.tensors import to_float

LENGTHS = [6, 2, 4, 3]
TRAINING = TrainingConfig(
    steps=3, batch_size=4, n_frames=6, log_every=1, save_every=2, validate_every=100
)


class Shorter(Squares):
    """Squares of which some are seen for a shorter time."""

    min_frames = 2

    def __init__(self):
        super().__init__(count=4, n_frames=6)

    def clip(self, index, epoch=0):
        return super().clip(index, epoch)[: LENGTHS[index]]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_has_the_gradients_of_the_clips_cut(tiny, tmp_path, accumulate):
    # Without latents nothing is drawn, and groups do not see the other clips.
    config = dataclasses.replace(tiny, prior="none", norm="group")
    torch.manual_seed(0)
    svg = SVG(config).double()
    training = dataclasses.replace(TRAINING, accumulate=accumulate)
    trainer = Trainer(svg, Shorter(), training, tmp_path)
    adam = trainer.svi.optim
    adam.step = adam.zero_grad = lambda: None
    batch = batch_of(trainer.data, 4, 0, training.seed)
    lengths = [LENGTHS[index] for index in batch.indices]
    assert batch.lengths.tolist() == lengths
    frames = to_float(batch.frames, torch.device("cpu")).double()
    trainer._gradient(svg.model, svg.guide, frames, lengths=batch.lengths)
    ours = {name: p.grad.clone() for name, p in svg.named_parameters()}
    svg.zero_grad()
    for frame, length in zip(frames, lengths, strict=True):
        cut = frame[None, :length]
        loss = Trace_ELBO().differentiable_loss(svg.model, svg.guide, cut)
        (loss / (sum(LENGTHS) - 4)).backward()
    for name, p in svg.named_parameters():
        torch.testing.assert_close(ours[name], p.grad, rtol=1e-9, atol=1e-9)


def test_own_means_stay_within_the_clips(tiny):
    svg = SVG(dataclasses.replace(tiny, guide="smoothing")).eval()
    batch = batch_of(Shorter(), 4, 0)
    frames = to_float(batch.frames, torch.device("cpu"))
    mixed = with_own_means(svg, frames, 1.0, lengths=batch.lengths)
    for clip, (own, length) in enumerate(zip(mixed, batch.lengths, strict=True)):
        assert torch.equal(own[:2], frames[clip, :2])
        assert torch.equal(own[length:], frames[clip, length:])
        assert length < 4 or not torch.equal(own[2], frames[clip, 2])


def test_a_run_is_trained_on_them_and_goes_on(tiny, tmp_path):
    training = dataclasses.replace(TRAINING, own_means=1.0, own_means_start=0)
    whole = Trainer(SVG(tiny), Shorter(), training, tmp_path / "whole")
    assert whole.run()
    svg = SVG(tiny)
    first = dataclasses.replace(training, steps=2)
    Trainer(svg, Shorter(), first, tmp_path / "two").run()
    again = Trainer(svg, Shorter(), training, tmp_path / "two")
    again.resume()
    assert again.run()
    values = whole.svg.state_dict().values()
    assert all(value.isfinite().all() for value in values)


def test_short_videos_of_a_folder_are_trained_on_if_asked_for(tiny, tmp_path, capsys):
    (tmp_path / "videos").mkdir()
    for name, count in (("a", 12), ("b", 3), ("c", 12), ("d", 2)):
        frames = np.full((count, 64, 64), count, np.uint8)
        np.save(tmp_path / "videos" / f"{name}.npy", frames)
    (tmp_path / "test").mkdir()
    np.save(tmp_path / "test" / "e.npy", np.zeros((12, 64, 64), np.uint8))

    def clips(split, **options):
        options = VideoOptions(test_data=str(tmp_path / "test"), **options)
        request = ClipRequest(split, 6, tiny, cache=tmp_path / "cache")
        return options.clips(request, tmp_path / "videos")

    assert len(clips("train")) == 4  # a and c, twice each
    assert "left out 2 of 4" in capsys.readouterr().err
    data = clips("train", min_frames=3)
    assert "left out 1 of 4" in capsys.readouterr().err
    assert sorted(len(data.clip(i)) for i in range(len(data))) == [3, 6, 6, 6, 6]
    assert batch_of(data, 5, 0).lengths.sum() == 27
    assert clips("test", min_frames=3).min_frames is None
