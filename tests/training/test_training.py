"""The training loop: it learns, logs, stops cleanly and resumes exactly."""

import copy
import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import threading

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO
from support.squares import Squares

from svg_pyro import (
    SVG,
    CheckpointError,
    ConfigError,
    DataError,
    TrainingConfig,
    TrainingError,
)
from svg_pyro.data.batches import batch_of
from svg_pyro.evaluation import picture_rows
from svg_pyro.training.optim import Schedule, make_adam
from svg_pyro.training.step import LossAndGrads
from svg_pyro.training.svi import TorchSVI
from svg_pyro.training.trainer import Trainer
from svg_pyro.training.validation import Validation
from svg_pyro.util.reports import report_once

SHORT = TrainingConfig(
    steps=6,
    batch_size=3,
    n_frames=5,
    lr=2e-3,
    lr_end=1e-4,
    clip_norm=50.0,
    log_every=2,
    validate_every=100,
    save_every=100,
)


def make(config, out, training=SHORT, data=None, **arguments):
    torch.manual_seed(0)
    data = Squares() if data is None else data
    return Trainer(SVG(config), data, training, out, **arguments)


def weights(trainer):
    return {k: v.clone() for k, v in trainer.svg.state_dict().items()}


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def log(trainer):
    return [json.loads(line) for line in trainer.log_path.read_text().splitlines()]


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("elbo", ["trace", "mean-field"])
def test_resume_equals_no_stop_bit_for_bit(tiny, tmp_path, norm, elbo):
    config = dataclasses.replace(tiny, norm=norm)
    training = dataclasses.replace(SHORT, elbo=elbo)
    whole = make(config, tmp_path / "whole", training)
    assert whole.run()
    first = make(config, tmp_path / "parts", training)
    first._at_intervals = lambda bar: first.step == 3 and interrupt()
    assert not first.run() and first.step == 3
    pyro.clear_param_store()
    torch.manual_seed(99)
    second = make(config, tmp_path / "parts", training)
    second.resume()
    assert second.run() and second.step == 6
    for name, value in weights(whole).items():
        assert torch.equal(second.svg.state_dict()[name], value), name
    a, b = whole.optimiser.state_dict(), second.optimiser.state_dict()
    for i, state in a["adam"]["state"].items():
        assert torch.equal(state["exp_avg_sq"], b["adam"]["state"][i]["exp_avg_sq"])


def test_validation_and_pictures_do_not_disturb_training(tiny, tmp_path):
    plain = make(tiny, tmp_path / "plain")
    plain.run()
    clips = torch.stack([Squares(seed=1).clip(i) for i in range(4)])
    often = dataclasses.replace(SHORT, validate_every=2, save_every=1, log_every=1)
    validation = Validation(
        clips, lambda t: picture_rows(t.svg, clips[0], 2, num_samples=2)
    )
    watched = make(tiny, tmp_path / "watched", often, validation=validation)
    watched.run()
    for name, value in weights(plain).items():
        assert torch.equal(watched.svg.state_dict()[name], value), name
    assert [line["step"] for line in log(watched) if "validation_nll" in line] == [
        2,
        4,
        6,
    ]


def test_it_learns(tiny, tmp_path):
    # The squares are drawn on black: a few steps tell the model so much.
    training = dataclasses.replace(SHORT, steps=60, lr=1e-2, log_every=10)
    trainer = make(dataclasses.replace(tiny, beta=1e-4), tmp_path, training)
    trainer.run()
    lines = log(trainer)
    assert lines[-1]["nll"] < lines[0]["nll"] - 100
    assert all(math.isfinite(line["kl"]) and line["kl"] >= 0 for line in lines)


def test_log_is_in_nats_a_frame(tiny, tmp_path):
    training = dataclasses.replace(SHORT, steps=1, log_every=1, clip_norm=0.0)
    trainer = make(tiny, tmp_path, training)
    twin = make(tiny, tmp_path / "twin", training)
    trainer.run()
    frames, *_ = batch_of(twin.data, 3, 0, training.seed)
    torch.manual_seed(training.seed)
    twin.svg.train()
    pyro.clear_param_store()
    svi = SVI(
        twin.svg.model, twin.svg.guide, pyro.optim.Adam({"lr": 1e-3}), Trace_ELBO()
    )
    loss = svi.step(frames.float() / 255)
    (line,) = log(trainer)
    # Trace_ELBO samples the KL (small here), the log has its closed form.
    assert line["nll"] + line["kl"] == pytest.approx(loss / (3 * 4), abs=0.5)


def test_log_of_steps_after_the_checkpoint_is_dropped(tiny, tmp_path):
    trainer = make(tiny, tmp_path)
    trainer.run()
    with open(trainer.log_path, "a") as file:
        file.write('{"step": 8, "nll": 1}\n{"step": 9, "nl')
    again = make(tiny, tmp_path)
    again.resume()
    assert [line["step"] for line in log(again)] == [2, 4, 6]


class Poisoned(Squares):
    """Real data cannot be non-finite (it is uint8), so the weights are spoiled."""

    def __init__(self, svg, at):
        super().__init__()
        self.svg, self.at, self.asked = svg, at, 0

    def clip(self, index, epoch=0):
        self.asked += 1
        if self.asked == 3 * self.at + 1:
            with torch.no_grad():
                next(self.svg.decoder.parameters()).fill_(torch.nan)
        return super().clip(index, epoch)

    def name(self, index):
        return f"video {index} of the test"


@pytest.mark.parametrize("saved", [True, False])
def test_loss_that_is_not_finite_stops_the_run(tiny, tmp_path, saved):
    training = dataclasses.replace(SHORT, save_every=1 if saved else 100)
    trainer = make(tiny, tmp_path, training)
    trainer.data = Poisoned(trainer.svg, at=2)
    with pytest.raises(TrainingError) as error:
        trainer.run()
    message = str(error.value)
    _, clips, *_ = batch_of(trainer.data, 3, 2, 0)
    assert "not finite at step 2" in message and "\n" not in message
    assert f"video {clips[0]} of the test and 2 more of 3 clips" in message
    if saved:
        assert str(trainer.checkpoint_path) in message
        content = torch.load(trainer.checkpoint_path, weights_only=True)
        assert content["training"]["step"] == 2
        assert all(v.isfinite().all() for v in content["weights"].values())
    else:
        assert "no checkpoint had been saved" in message
        assert not trainer.checkpoint_path.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_save_and_leave(tiny, tmp_path, number, capsys):
    before = signal.getsignal(number)
    trainer = make(tiny, tmp_path)
    trainer._at_intervals = lambda bar: os.kill(os.getpid(), number)
    assert not trainer.run()
    assert trainer.step == 1 and trainer.checkpoint_path.exists()
    assert "saving and leaving" in capsys.readouterr().err
    assert signal.getsignal(number) is before


STUBBORN = """
import time
from svg_pyro.util.interrupts import Interrupts
with Interrupts() as interrupts:
    print("ready", flush=True)
    while True:
        time.sleep(0.01)
        if interrupts.requested:
            print("asked", flush=True)
"""


@pytest.mark.slow
def test_a_second_signal_leaves_at_once():
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == b"asked\n"
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT


def test_training_in_a_thread(tiny, tmp_path):
    trainer = make(tiny, tmp_path)
    done = []
    thread = threading.Thread(target=lambda: done.append(trainer.run()))
    thread.start()
    thread.join()
    assert done == [True]


def test_step_reads_nothing_back(tiny, tmp_path, monkeypatch):
    # On CUDA each of these would wait for the device.
    trainer = make(tiny, tmp_path)
    trainer.svg.train()
    batch = next(trainer._batches())
    calls = []
    for name in ("item", "cpu", "tolist", "__bool__", "__float__", "numpy"):
        method = getattr(torch.Tensor, name)

        def counted(self, *args, _name=name, _method=method, **kwargs):
            calls.append(_name)
            return _method(self, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, name, counted)
    with pyro.validation_enabled(False):
        trainer._one_step(*batch)
        calls.clear()
        trainer._one_step(*batch)
    # Adam keeps its step counts on the CPU and may read them there.
    on_device = [c for c in calls if c != "item"]
    assert on_device == []


def test_resume_refuses_a_bare_model(tiny, tmp_path):
    import svg_pyro

    svg_pyro.save(SVG(tiny), tmp_path / "checkpoint.pt")
    with pytest.raises(CheckpointError, match="no training state"):
        make(tiny, tmp_path).resume()


def test_module_local_params_is_refused(tiny, tmp_path):
    with pyro.settings.context(module_local_params=True):
        with pytest.raises(TrainingError, match="module_local_params"):
            make(tiny, tmp_path)


def test_empty_data_set(tiny, tmp_path):
    with pytest.raises(DataError, match="empty"):
        make(tiny, tmp_path, data=Squares(count=0))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"steps": 0}, "steps is 0"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"n_frames": 1}, "n_frames is 1"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"lr": math.nan}, "lr is nan"),
        ({"lr_end": 1.0}, "lr_end 1.0"),
        ({"eps": 0.0}, "eps is 0.0"),
        ({"eps": math.nan}, "eps is nan"),
        ({"clip_norm": -1.0}, "clip_norm is -1.0"),
        ({"elbo": "iwae"}, "elbo is 'iwae'"),
        ({"seed": -1}, "seed is -1"),
        ({"workers": -1}, "workers is -1"),
    ],
)
def test_bad_training_values(changes, words):
    with pytest.raises(ConfigError) as error:
        TrainingConfig(**changes)
    assert words in str(error.value)


def test_a_step_returns_its_loss_in_nats_a_frame(tiny, tmp_path):
    training = dataclasses.replace(SHORT, batch_size=4, accumulate=2)
    trainer = make(dataclasses.replace(tiny, norm="group"), tmp_path, training)
    frames, clips, *_ = batch_of(trainer.data, 4, 0, 0)
    torch.manual_seed(5)
    frames_in = frames.float() / 255
    with torch.no_grad():
        want = sum(
            Trace_ELBO().loss(trainer.svg.model, trainer.svg.guide, half)
            for half in frames_in.chunk(2)
        )
    torch.manual_seed(5)
    loss = trainer._one_step(frames, clips)
    assert loss.shape == () and not loss.requires_grad
    assert loss.item() == pytest.approx(want / (4 * 4), rel=1e-5)


def schedule(parameters, **values):
    config = TrainingConfig(**values)
    return Schedule(make_adam(parameters, config), config)


def test_learning_rate_falls_on_half_a_cosine():
    p = torch.nn.Parameter(torch.zeros(1))
    optimiser = schedule([p], lr=1.0, lr_end=0.2, steps=4)
    rates = []
    for step in range(6):
        assert optimiser.step == step
        rates.append(optimiser.lr())
        p.grad = torch.ones(1)
        optimiser.optimiser.step()
        optimiser.advance()
    half = 0.2 + 0.8 * 0.5
    assert rates[0] == 1.0 and rates[2] == pytest.approx(half)
    assert rates[4] == rates[5] == pytest.approx(0.2)


@pytest.mark.parametrize("steps", [6, 12])
def test_a_state_without_what_schedulers_add_goes_on(steps):
    """Checkpoints of before had no first rate in the optimiser's groups."""
    runs = []
    for stop in (None, 3):
        p = torch.nn.Parameter(torch.ones(2))
        # A run that is prolonged goes on from the rate of the longer one's step.
        optimiser = schedule([p], lr=0.1, lr_end=0.01, steps=steps if not stop else 6)
        for step in range(6):
            if step == stop:
                state = optimiser.state_dict()
                for group in state["adam"]["param_groups"]:
                    del group["initial_lr"]
                p = torch.nn.Parameter(p.detach().clone())
                optimiser = schedule([p], lr=0.1, lr_end=0.01, steps=steps)
                optimiser.load_state_dict(state)
            p.grad = p.detach() * torch.tensor([1.0, -2.0]) + step
            optimiser.optimiser.step()
            optimiser.advance()
        runs.append((p.detach(), optimiser.lr()))
    assert runs[0][1] == runs[1][1]
    assert torch.equal(runs[0][0], runs[1][0]) == (steps == 6)


def test_clipping_is_of_the_joint_norm():
    a, b = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    adam = make_adam([a, b], TrainingConfig(clip_norm=1.0))
    a.grad, b.grad = torch.tensor([3.0]), torch.tensor([4.0])
    adam.step()
    assert (a.grad.item(), b.grad.item()) == pytest.approx((0.6, 0.8), rel=1e-5)


def test_epsilon_is_adams():
    """A first step is lr g / (|g| + eps)."""
    p = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
    adam = make_adam([p], TrainingConfig(lr=0.5, lr_end=0.5, eps=3.0))
    p.grad = torch.tensor([1.0, -9.0], dtype=torch.float64)
    adam.step()
    torch.testing.assert_close(
        p.detach(), torch.tensor([-0.5 / 4, 0.5 * 9 / 12], dtype=torch.float64)
    )


def test_svi_refuses_parameters_that_its_optimiser_does_not_have(tiny):
    svg = SVG(tiny)
    adam = torch.optim.Adam(svg.encoder.parameters())
    elbo = Trace_ELBO()
    svi = TorchSVI(
        svg.model,
        svg.guide,
        adam,
        loss=elbo.loss,
        loss_and_grads=LossAndGrads(svg, elbo),
    )
    with pytest.raises(
        ValueError, match=r"was not given the parameter 'svg.*posterior"
    ):
        svi.step(torch.rand(2, 4, 1, 64, 64))


def test_svi_takes_pyros_steps(tiny):
    """The same weights as ``pyro.infer.SVI`` gives with its own Adam."""
    ends = []
    for ours in (True, False):
        pyro.clear_param_store()
        torch.manual_seed(0)
        svg, elbo = SVG(tiny), Trace_ELBO()
        if ours:
            svi = TorchSVI(
                svg.model,
                svg.guide,
                torch.optim.Adam(svg.parameters(), 1e-3),
                loss=elbo.loss,
                loss_and_grads=elbo.loss_and_grads,
            )
        else:
            svi = SVI(svg.model, svg.guide, pyro.optim.Adam({"lr": 1e-3}), elbo)
        losses = [float(svi.step(torch.rand(2, 4, 1, 64, 64))) for _ in range(3)]
        torch.manual_seed(1)
        held_out = svi.evaluate_loss(torch.rand(2, 4, 1, 64, 64))
        ends.append((losses, held_out, list(svg.parameters())))
    # Pyro's ELBO adds its losses up in float64; a tensor of them is float32.
    assert ends[0][0] == pytest.approx(ends[1][0], rel=1e-7)
    assert ends[0][1] == ends[1][1]
    for mine, pyros in zip(ends[0][2], ends[1][2], strict=True):
        assert torch.equal(mine, pyros)


def error(svg, clips, training):
    """Mean squared error of the decoder's means in one of the modes."""
    svg.train(training)
    frames = clips.float() / 255
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(3)
        guide = poutine.trace(svg.guide).get_trace(frames)
        trace = poutine.trace(poutine.replay(svg.model, trace=guide)).get_trace(frames)
        found = (trace.nodes["x"]["fn"].mean - frames[:, 1:]).square().mean().item()
    return found


@pytest.mark.slow
def test_evaluation_mode_fits_the_weights_from_the_first_steps_on(tiny, tmp_path):
    """Held-out error in evaluation mode over that in training mode.

    With statistics that move by a tenth a step it is 1.06 to 1.75.
    """
    clips = torch.stack([Squares(count=16, seed=1).clip(i) for i in range(16)])
    ratios = {}

    def compare(trainer):
        svg = copy.deepcopy(trainer.svg)
        ratios[trainer.step] = error(svg, clips, False) / error(svg, clips, True)

    training = dataclasses.replace(SHORT, steps=100, batch_size=8, validate_every=10)
    config = dataclasses.replace(tiny, width=8, beta=1e-4)
    weights_of = []
    for fitted in (True, False):
        ratios.clear()
        pyro.clear_param_store()
        trainer = make(
            config,
            tmp_path / str(fitted),
            training,
            Squares(count=40),
            validation=Validation(clips[:2], compare),
        )
        if not fitted:
            trainer._statistics.clips = None
        assert trainer.run() and list(ratios) == list(range(10, 101, 10))
        if fitted:
            assert all(0.98 < ratio < 1.04 for ratio in ratios.values()), ratios
        else:
            assert max(ratios.values()) > 1.06
        weights_of.append([p.detach() for p in trainer.svg.parameters()])
    # Only buffers differ.
    assert all(map(torch.equal, *weights_of))


def test_weights_that_are_not_finite_are_not_saved(tiny, tmp_path):
    """The loss of the step that spoils them is still finite."""
    trainer = make(tiny, tmp_path, dataclasses.replace(SHORT, save_every=1))
    trainer.config = dataclasses.replace(trainer.config, steps=2)
    weight = trainer.svg.posterior.loc.weight

    def spoil(*_):
        if trainer.step == 1:
            weight.data[0, 0] = torch.inf

    trainer.optimiser.optimiser.register_step_post_hook(spoil)
    with pytest.raises(TrainingError, match=r"loc\.weight is not finite"):
        trainer.run()
    content = torch.load(trainer.checkpoint_path, weights_only=True)
    assert content["training"]["step"] == 1


def test_clips_of_another_length_than_the_configuration_s_are_said(
    tiny, tmp_path, capsys
):
    training = dataclasses.replace(SHORT, n_frames=37)
    report_once.cache_clear()
    make(tiny, tmp_path / "a", training)
    words = "n_frames is 37, but the data set gives clips of 5 frames: those are"
    assert words in capsys.readouterr().err
    report_once.cache_clear()
    make(tiny, tmp_path / "b")
    assert "n_frames" not in capsys.readouterr().err
