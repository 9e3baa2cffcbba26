"""The benchmark compares what it says: the same networks, the same mathematics."""

import dataclasses

import benchmark
import numpy as np
import pytest
import torch
from benchmarks import baseline, command, costs, data, speed, tables, workloads


@pytest.mark.parametrize("backbone", ["dcgan", "vgg"])
def test_the_baseline_has_our_networks(tiny, backbone):
    config = dataclasses.replace(tiny, backbone=backbone)
    loop = baseline.PaperLoop(config)
    ours = workloads.Ours(config, torch.device("cpu"))
    mine = sorted(p.shape for n in loop.networks for p in n.parameters())
    assert mine == sorted(p.shape for p in ours.svg.parameters())


def test_the_baseline_learns_and_samples(tiny, squares):
    torch.manual_seed(0)
    loop = baseline.PaperLoop(tiny)
    frames = torch.stack([squares.clip(i) for i in range(4)]).float() / 255
    before = (loop.generate(frames[:, :2], 3, 2) - frames[:, 2:]).square().mean()
    for _ in range(100):
        loop.train_step(frames)
    futures = loop.generate(frames[:, :2], 3, 2)
    assert futures.shape == (2, 4, 3, 1, 64, 64)
    assert (futures - frames[:, 2:]).square().mean() < 0.2 * before
    assert not torch.equal(futures[0], futures[1])


def test_plain_and_pyro_take_the_same_step(tiny):
    """From the same draw of z, the gradients of a step agree in float64."""
    frames = torch.rand(3, 5, 1, 64, 64).double()
    gradients = []
    runs = [
        kind(tiny, torch.device("cpu")) for kind in (workloads.Ours, workloads.Plain)
    ]
    for run in runs:
        run.svg.double()
        # Pyro forgets the gradients after the step.
        run.svi.optim.register_step_pre_hook(
            lambda *_, run=run: gradients.append(
                {name: p.grad.clone() for name, p in run.svg.named_parameters()}
            )
        )
        torch.manual_seed(5)
        run.train_step(frames)
    ours, plain = gradients
    for name, value in ours.items():
        torch.testing.assert_close(plain[name], value, rtol=1e-8, atol=1e-10)
    assert ours["decoder.stages.0.join.weight"].abs().max() > 1e-3


@pytest.mark.parametrize("p, fixed", [(1.0, 0.0), (1.0, 5.0), (0.7, 1.0), (1.5, 3.0)])
def test_exponents_are_found(p, fixed):
    sizes = np.array([8, 16, 32, 64])
    assert costs.exponent(sizes, fixed + 0.2 * sizes**p) == pytest.approx(p, abs=0.02)
    assert costs.exponent([8, 16], [1.0, 2.0**p]) == pytest.approx(p)


def test_memory_at_the_peak_is_seen():
    def call():
        torch.ones(400_000_000, dtype=torch.uint8).add_(1)

    taken = costs.peak_bytes(call, torch.device("cpu"))
    # What other tests have freed may be taken again.
    assert 250e6 < taken < 500e6


def test_rates_are_counts_by_the_clock():
    ticks = iter(range(10_000))
    assert tables.rate(lambda i: None, 3, seconds=10, clock=lambda: next(ticks)) > 0
    now = [0.0]

    def work(_):
        now[0] += 0.5

    assert tables.rate(work, 3, seconds=10, clock=lambda: now[0]) == pytest.approx(6)


def test_alternating_calls_share_the_rounds():
    seen = []
    calls = {"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}
    assert set(speed.alternately(calls, torch.device("cpu"), 2)) == {"a", "b"}
    assert seen == ["a", "b"] * 3


def test_every_table_can_be_made(monkeypatch):
    """With the work itself left out but for that of the precisions, once."""
    monkeypatch.setattr(command.precisions, "_CLIPS", 2)
    rows = [{"work": 1.0}]
    for module, names in (
        (speed, ["train", "generate", "overhead", "compiled"]),
        (data, []),
        (costs, ["of_samples", "of_training", "scaling"]),
        (command.processes, ["efficiency"]),
        (command.metrics, ["scoring"]),
    ):
        for name in names:
            monkeypatch.setattr(module, name, lambda *given: rows)
    monkeypatch.setattr(data, "run", lambda: (rows, rows))
    args = command.parse([*command.WORK, "--steps", "1", "--seeds", "1"])
    made = dict(command.tables(args, torch.device("cpu")))
    assert len(made) == 13
    peaks = {row["GFLOP/s in"]: row for row in made["Peaks"]}
    assert peaks["float32"]["GEMM"] > 1 and peaks["bf16"]["conv"] > 0
    exact, *others = made["What bfloat16 changes"]
    assert exact["PSNR, less float32's"] == 0 and exact["PSNR [dB]"] > 5
    assert len(others) == 3
    for row in others:
        assert abs(row["PSNR, less float32's"]) < 0.1
        assert row["KL [nats/frame]"] != exact["KL [nats/frame]"]


def test_the_table_of_compiled_networks(tiny, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda forward, **options: forward)
    work = speed.GENERATE[0].__class__("tiny", tiny, 2, 3)
    monkeypatch.setattr(speed, "GENERATE", [work])
    (row,) = speed.compiled(torch.device("cpu"), 1, ["float32"], 2)
    assert row["generate"] == "tiny, 2 samples" and row["first call s"] > 0
    assert row["ratio"] == row["not compiled s"] / row["then s"]


def test_precisions_that_are_slow_here_are_left_out():
    slow = {"float32": {"GEMM": 2.0, "conv": 3.0}, "bf16": {"GEMM": 2.5, "conv": 1.0}}
    assert speed.worth_it(slow) == ["float32"]
    fast = {**slow, "bf16": {"GEMM": 9.0, "conv": 1.0}}
    assert speed.worth_it(fast) == ["float32", "bf16"]


def test_the_tables_of_data(monkeypatch, capsys, tmp_path):
    makers = {k: v for k, v in data._MAKERS.items() if k.startswith("Moving")}
    monkeypatch.setattr(data, "_MAKERS", makers)
    monkeypatch.setattr(data, "_decoding", lambda folder: [])
    monkeypatch.setattr(data, "_workers", lambda: [{"workers": "0", "frames/s": 1.0}])
    benchmark.main(["data", "--json", str(tmp_path / "out.json")])
    out = capsys.readouterr().out
    assert "Moving MNIST, 2 digits" in out and "20000" in out
    assert '"frames/s"' in (tmp_path / "out.json").read_text()
