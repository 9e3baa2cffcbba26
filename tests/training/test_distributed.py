"""Training in two gloo processes: one gradient, one run, one writer, one end."""

import contextlib
import dataclasses
import itertools
import json

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from support.group import (
    CASES,
    GROUP_NORM,
    RANKS,
    SHORT,
    Seen,
    a_group_of_one,
    in_two_processes,
    of_attempt,
    stop_at,
    their_work,
    trainer,
)
from support.steady import frames_of, gradients, steady

from svg_pyro import SVG, ConfigError, FilteringGuide, TrainingError
from svg_pyro.data.batches import batch_of
from svg_pyro.training.averaging import averaging_gradients
from svg_pyro.training.step import LossAndGrads, latents_seed
from svg_pyro.util import distributed


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    one = trainer(root / "one")
    stop_at(one, 3)
    assert not one.run() and one.step == 3
    in_two_processes(their_work, root)
    return root, [torch.load(root / f"{rank}.pt") for rank in range(RANKS)]


@pytest.mark.slow
def test_gradients_are_those_of_one_process_on_the_joined_batch(runs):
    found = [f["gradients"] for f in runs[1]]
    classes = {"trace": Trace_ELBO, "mean-field": TraceMeanField_ELBO}
    for case, (config, elbo, _) in CASES.items():
        svg = steady(config)
        frames = frames_of(8)
        loss = classes[elbo]().differentiable_loss(svg.model, svg.guide, frames)
        (loss / (8 * 4)).backward()
        for name, value in gradients(svg).items():
            where = f"{case}: {name}"
            assert torch.equal(found[0][case][name], found[1][case][name]), where
            torch.testing.assert_close(
                found[0][case][name], value, rtol=1e-8, atol=1e-8, msg=where
            )


@pytest.mark.slow
def test_a_process_that_has_ended_is_told_in_one_line(runs):
    message = runs[1][1]["lost"]
    assert message.startswith("process 1 has lost contact") and "\n" not in message


@pytest.mark.slow
def test_ranks_never_drift(runs):
    _, (first, second) = runs
    assert first["done"] and second["done"]
    start = dict(trainer("unused").svg.named_parameters())
    for name in start:
        assert torch.equal(first["weights"][name], second["weights"][name]), name
    assert not torch.equal(
        first["weights"]["encoder.head.0.weight"], start["encoder.head.0.weight"]
    )


@pytest.mark.slow
def test_ranks_draw_disjoint_clips_and_other_latents(runs):
    _, found = runs
    data = Seen()
    for step in range(SHORT.steps):
        _, clips, *_ = batch_of(data, 4, step, SHORT.seed)
        parts = [f["clips"][2 * step : 2 * step + 2] for f in found]
        assert parts == [clips[::2], clips[1::2]]
    states = [state for f in found for state in f["states"]]
    assert len(states) == 2 * SHORT.steps
    for a, b in itertools.combinations(states, 2):
        assert not torch.equal(a, b)


@pytest.mark.slow
def test_only_the_first_process_writes(runs):
    root, _ = runs
    assert {p.name for p in (root / "0").iterdir()} == {"whole", "stopped", "bad"}
    files = {p.name for p in (root / "0" / "whole").iterdir()}
    assert files == {"checkpoint.pt", "best.pt", "metrics.jsonl"}
    assert not (root / "1").exists()


@pytest.mark.slow
def test_the_log_is_of_all_processes(runs):
    root, found = runs
    text = (root / "0" / "whole" / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["step"] for line in lines if "nll" in line] == [2, 4, 6]
    assert [line["step"] for line in lines if "validation_nll" in line] == [3, 6]
    lines = [line for line in lines if "nll" in line]
    for i, name in enumerate(("nll", "kl")):
        terms = [torch.stack([step[i] for step in f["terms"]]) for f in found]
        first = terms[0].mean(1).unflatten(0, (3, 2)).mean(1)
        both = torch.cat(terms, 1).mean(1).unflatten(0, (3, 2)).mean(1)
        logged = torch.tensor([line[name] for line in lines])
        torch.testing.assert_close(logged, both, rtol=5e-7, atol=1e-7)
        assert not torch.allclose(first, both, rtol=5e-6, atol=1e-6)


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_at_the_same_step(runs):
    _root, found = runs
    assert [f["stopped"] for f in found] == [(False, 3)] * 2


@pytest.mark.slow
def test_a_resume_with_as_many_processes_is_bit_for_bit(runs):
    _, found = runs
    for f in found:
        assert f["again"] == (True, 6)
    for name, value in found[0]["weights"].items():
        assert torch.equal(found[0]["weights again"][name], value), name


@pytest.mark.slow
def test_a_resume_with_another_number_of_processes(runs, tmp_path):
    root, found = runs
    data = Seen()
    rest = [batch_of(data, 4, step, SHORT.seed)[1] for step in (3, 4, 5)]
    # One process began, two went on.
    for rank, f in enumerate(found):
        assert f["other"] == (3, True, 6)
        assert f["clips of other"] == [c for clips in rest for c in clips[rank::2]]
    # Two began, one goes on.
    state = torch.load(root / "0" / "whole" / "checkpoint.pt", weights_only=True)
    assert state["training"]["step"] == 6
    longer = dataclasses.replace(SHORT, steps=8)
    one = trainer(root / "0" / "whole", longer)
    one.resume()
    assert one.step == 6 and one.run() and one.step == 8
    more = [batch_of(data, 4, step, SHORT.seed)[1] for step in (6, 7)]
    assert one.data.seen == [*itertools.chain(*more)]


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_all(runs):
    root, found = runs
    (other, step), (message, same) = (f["bad"] for f in found)
    assert "not finite in another process" in other
    assert "not finite at step 3" in message
    assert step == same == 4
    path = root / "0" / "bad" / "checkpoint.pt"
    state = torch.load(path, weights_only=True)
    assert state["training"]["step"] == 3
    assert all(v.isfinite().all() for v in state["weights"].values())


def test_a_group_of_one_changes_nothing(capsys):
    case = dataclasses.replace(GROUP_NORM, norm="batch")
    found = []
    for group in (contextlib.nullcontext, a_group_of_one):
        with group():
            svg = steady(case)
            step = LossAndGrads(svg, Trace_ELBO(), accumulate=2)
            for _ in range(2):
                step(svg.model, svg.guide, frames_of(4))
            assert distributed.joined() == (group is a_group_of_one)
            print("one line")
        found.append({**gradients(svg), **dict(svg.named_buffers())})
    assert not distributed.joined()
    assert capsys.readouterr().out.splitlines() == ["one line"] * 2
    for name, value in found[0].items():
        torch.testing.assert_close(
            found[1][name], value, rtol=1e-12, atol=1e-12, msg=name
        )


@pytest.mark.slow
def test_a_restart_does_not_look_for_the_processes_before(tmp_path):
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    for attempt in range(2):
        # The second process comes later, when the first one has looked for it.
        processes = [
            mp.get_context("spawn").Process(
                target=of_attempt, args=(attempt, store.port, rank, 2 * rank, tmp_path)
            )
            for rank in range(RANKS)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(120)
            process.kill()
    assert len(list(tmp_path.iterdir())) == 2 * RANKS


def test_weights_that_no_step_uses_are_named():
    class Idle(FilteringGuide):
        def __init__(self, config):
            super().__init__(config)
            self.spare = torch.nn.Linear(2, 2)

    for group in (contextlib.nullcontext, a_group_of_one):
        with group():
            svg = SVG(GROUP_NORM, guide=Idle(GROUP_NORM)).double()
            step = LossAndGrads(svg, Trace_ELBO())
            if group is contextlib.nullcontext:
                step(svg.model, svg.guide, frames_of(2))
                continue
            with pytest.raises(TrainingError, match=r"posterior\.spare\.weight") as e:
                step(svg.model, svg.guide, frames_of(2))
            assert "2 such weights" in str(e.value)
            svg = SVG(GROUP_NORM, guide=Idle(GROUP_NORM)).double()
            svg.posterior.spare.requires_grad_(False)
            step = LossAndGrads(svg, Trace_ELBO())
            step(svg.model, svg.guide, frames_of(2))


def test_seeds_of_latents():
    seeds = {latents_seed(*key) for key in itertools.product(range(4), repeat=3)}
    assert len(seeds) == 4**3 and max(seeds) < 2**64
    torch.manual_seed(max(seeds))


def test_without_torchrun_there_is_one_process(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    distributed.start()
    assert not distributed.joined()
    assert (distributed.rank(), distributed.ranks()) == (0, 1)
    assert distributed.true_in_any(True) and not distributed.true_in_any(False)
    assert distributed.mean([1.5]) == [1.5]
    module = torch.nn.Linear(1, 1)
    assert averaging_gradients(module, torch.device("cpu")) is module
    distributed.wait_turn()
    distributed.pass_turn()
    distributed.end()
    cuda = torch.device("cuda", 3)
    assert distributed.own_device(cuda) is cuda


def test_each_process_has_a_cuda_device_of_its_own(monkeypatch):
    chosen = []
    monkeypatch.setattr(distributed, "joined", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setenv("LOCAL_RANK", "1")
    device = distributed.own_device(torch.device("cuda"))
    assert device == torch.device("cuda", 1) and chosen == [device]
    with pytest.raises(ConfigError, match="choose cuda"):
        distributed.own_device(torch.device("cuda", 0))
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ConfigError, match="--nproc_per_node=2"):
        distributed.own_device(torch.device("cuda"))
    cpu = torch.device("cpu")
    assert distributed.own_device(cpu) is cpu
