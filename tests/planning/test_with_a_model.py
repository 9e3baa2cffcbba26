"""Planning and its neighbours with models that take actions, tiny and untrained."""

import json

import numpy as np
import pytest
import torch

import svg_pyro
from svg_pyro import SVG, Sampler, SVGConfig
from svg_pyro.data import ClipDataset
from svg_pyro.data.simulated_push.renderer import render
from svg_pyro.data.simulated_push.simulator import simulate
from svg_pyro.errors import EvaluationError
from svg_pyro.evaluation.hand import NONE, OTHER, OWN, REPEATED, HandTest, hand_errors
from svg_pyro.planning import (
    ActionRange,
    GoalImage,
    Planner,
    PlannerSettings,
    VP2Model,
)


@pytest.fixture(scope="module")
def svg():
    torch.manual_seed(0)
    config = SVGConfig(channels=3, width=2, g_dim=8, z_dim=2, rnn_size=8, action_dim=4)
    return SVG(config).eval()


@pytest.fixture(scope="module")
def sampler(svg):
    return Sampler(svg)


class Pushes(ClipDataset):
    """Simulated clips, in memory."""

    channels, image_size = 3, 64

    def __init__(self, count, n_frames, action_dim=4):
        self.n_frames, self.action_dim = n_frames, action_dim
        self._clips = [simulate([8, i], n_frames) for i in range(count)]
        self._frames = [render(c, [8, i]) for i, c in enumerate(self._clips)]

    def __len__(self):
        return len(self._clips)

    def clip(self, index, epoch=0):
        return torch.from_numpy(self._frames[index]).permute(0, 3, 1, 2).contiguous()

    def actions(self, index, epoch=0):
        return torch.from_numpy(self._clips[index].actions)[:-1]


class Oracle:
    """Predicts what was simulated, if it is told the actions of that clip."""

    def __init__(self, svg, data):
        self.svg, self._data = svg, data

    def predict(self, context, horizon, num_samples=1, *, actions=None, seed=None):
        known = torch.stack([self._data.actions(i) for i in range(len(self._data))])
        found = [int((known - a).abs().sum((1, 2)).argmin()) for a in actions]
        clips = [self._data.clip(i)[-horizon:] / 255 for i in found]
        return torch.stack(clips).expand(num_samples, -1, -1, -1, -1, -1)


def test_the_hand_of_an_oracle_is_right_with_its_actions_alone(svg):
    data = Pushes(6, 8)
    test = HandTest(clips=6, horizon=6, num_samples=2, batch_size=4)
    found = {e.name: e for e in hand_errors(Oracle(svg, data), data, test)}
    assert list(found) == [OWN, OTHER, REPEATED]
    assert found[OWN].mean == 0 and found[OWN].clips == 6
    assert found[OTHER].mean > 5 and found[REPEATED].mean > 3
    # A hand that stays where it was is further off from frame to frame.
    assert found[REPEATED].per_step[0] < found[REPEATED].per_step[-1]
    assert np.mean(found[OTHER].per_step) == pytest.approx(found[OTHER].mean)


def test_clips_that_do_not_fit_are_refused(svg, sampler):
    with pytest.raises(EvaluationError, match="8 frames; give at least two, of 12"):
        hand_errors(sampler, Pushes(2, 8))
    with pytest.raises(EvaluationError, match="clips with their actions"):
        hand_errors(sampler, Pushes(2, 12, action_dim=0))


def test_a_model_without_actions_is_compared_with_repetition():
    config = SVGConfig(channels=3, width=2, g_dim=8, z_dim=2, rnn_size=8)
    test = HandTest(clips=2, horizon=3, num_samples=1)
    found = hand_errors(Sampler(SVG(config).eval()), Pushes(2, 5, 0), test)
    assert [error.name for error in found] == [NONE, REPEATED]


def test_a_plan_of_a_model_is_what_its_own_futures_say_is_best(sampler):
    context, past = torch.rand(1, 2, 3, 64, 64), torch.zeros(1, 4)
    settings = PlannerSettings(budget=48, horizon=3, num_samples=2, rounds=2)
    everything = ActionRange((-1.0,) * 4, (1.0,) * 4)
    planner = Planner(sampler, everything, settings)
    plan = planner.plan(context, GoalImage(torch.rand(3, 64, 64)), past=past)
    assert plan.actions.shape == (3, 4) and plan.frames == 48


def vp2_batch():
    video = torch.rand(1, 2, 3, 64, 64).expand(3, -1, -1, -1, -1)
    return {"video": video, "actions": torch.rand(3, 5, 4)}


def test_vp2_gets_what_the_sampler_predicts(sampler):
    batch = vp2_batch()
    rgb = VP2Model(sampler, seed=3)(batch)["rgb"]
    future = sampler.predict(
        batch["video"][:1], 4, 1, actions=batch["actions"], seed=3
    )[0]
    torch.testing.assert_close(rgb[:, 1:], future)
    assert torch.equal(rgb[:, 0], batch["video"][:, 1])
    arrays = {
        "video": batch["video"].movedim(2, -1).numpy(),
        "actions": batch["actions"].numpy(),
    }
    again = VP2Model(sampler, seed=3)(arrays)["rgb"]
    np.testing.assert_allclose(again, rgb.movedim(2, -1).numpy(), atol=1e-6)


def test_gradients_reach_the_actions_and_are_those_of_differences(svg, sampler):
    batch = vp2_batch()
    batch["actions"].requires_grad_()
    model = VP2Model(sampler)

    def brightness(actions):
        torch.manual_seed(5)
        rgb = model({**batch, "actions": actions}, grad_enabled=True)["rgb"]
        return rgb[:, -1].double().sum()

    (gradient,) = torch.autograd.grad(brightness(batch["actions"]), batch["actions"])
    assert not gradient[:, -1].eq(0).all() and gradient.isfinite().all()
    way = torch.randn_like(gradient)
    step = 1e-2
    with torch.no_grad():
        up = brightness(batch["actions"] + step * way)
        down = brightness(batch["actions"] - step * way)
    slope = float((up - down) / (2 * step))
    assert float((gradient * way).sum()) == pytest.approx(slope, rel=0.05, abs=0.02)
    assert not model(batch)["rgb"].requires_grad


def test_the_frames_with_gradients_are_those_without(sampler):
    batch = vp2_batch()
    rows = []
    for grad_enabled in (True, False):
        torch.manual_seed(1)
        rows.append(VP2Model(sampler)(batch, grad_enabled=grad_enabled)["rgb"])
    torch.testing.assert_close(rows[0].detach(), rows[1], atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_the_command_compares_and_writes_its_files(svg, tmp_path, capsys):
    pytest.importorskip("gymnasium")
    from svg_pyro.commands.plan import plan

    svg_pyro.save(svg, tmp_path / "model.pt")
    flags = "--tasks 2 --steps 3 --budget 32 --horizon 2 --rounds 2 --num-samples 2"
    plan([str(tmp_path / "model.pt"), *flags.split(), "--out", str(tmp_path / "out")])
    found = json.loads((tmp_path / "out" / "plan.json").read_text())["controllers"]
    assert list(found) == [
        "random",
        "hand to block",
        "simulator",
        "mean future",
        "risk-neutral",
        "risk-averse",
    ]
    for name, of in found.items():
        assert of["tasks"] == 2 and 0 <= of["low"] <= of["share"] <= of["high"] <= 1
        assert of["frames_per_decision"] <= 32
        assert (of["frames_per_decision"] == 0) == (name in ("random", "hand to block"))
    for name in ("plan.png", "plan.gif"):
        assert (tmp_path / "out" / name).stat().st_size > 1000
    assert "risk-averse" in capsys.readouterr().out


def test_a_controller_that_needs_a_model_says_so(capsys):
    from svg_pyro.commands.plan import plan

    pytest.importorskip("gymnasium")
    with pytest.raises(SystemExit):
        plan(["--controller", "risk-averse", "--tasks", "1"])
    assert "give a CHECKPOINT" in capsys.readouterr().err


def test_the_benchmark_counts_the_frames_of_all_plans():
    from svg_pyro.commands.benchmarks import plans

    (row,) = plans.frames_a_second(torch.device("cpu"), 1, plans=3, horizon=2)
    rates = [value for name, value in row.items() if name.endswith("frames/s")]
    assert row["plans"] == "3 x 2 frames, push-actions"
    assert len(rates) == 3 and min(rates) > 0
