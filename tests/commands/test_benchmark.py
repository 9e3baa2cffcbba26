"""The benchmark compares what it says: the same networks, the same mathematics."""

import dataclasses
import functools
import subprocess
import sys

import numpy as np
import pytest
import torch
from support.places import ROOT

import svg_pyro
from svg_pyro.commands import benchmark
from svg_pyro.commands.benchmarks import (
    baseline,
    costs,
    data,
    metrics,
    precision,
    processes,
    speed,
    start,
    tables,
    workloads,
)
from svg_pyro.metrics import PROTOCOLS

PIXELS = "training, pixels"


@pytest.mark.parametrize("backbone", ["dcgan", "vgg"])
def test_the_baseline_has_our_networks(tiny, backbone):
    config = dataclasses.replace(tiny, backbone=backbone)
    loop = baseline.PaperLoop(config)
    ours = workloads.Ours(config, torch.device("cpu"))
    mine = sorted(p.shape for n in loop.networks for p in n.parameters())
    assert mine == sorted(p.shape for p in ours.svg.parameters())


@pytest.mark.slow
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


@pytest.mark.slow
def test_memory_at_the_peak_is_seen():
    # In a process of its own: what other tests have freed would be taken again.
    code = (
        "import torch\n"
        "from svg_pyro.commands.benchmarks import costs\n"
        "call = lambda: torch.ones(400_000_000, dtype=torch.uint8).add_(1)\n"
        "print(costs.peak_bytes(call, torch.device('cpu')))"
    )
    command = [sys.executable, "-c", code]
    taken = float(subprocess.check_output(command, text=True, cwd=ROOT))
    assert 350e6 < taken < 450e6


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


@pytest.fixture
def small(tiny, monkeypatch):
    """All work of the benchmark, so small that each table is made in a second."""
    for module, values in (
        (speed, {"SIDE": 256, "CONV": (2, 16, 8)}),
        (speed, {"TRAIN": (workloads.Work("tiny", tiny, 2, 3),)}),
        (speed, {"GENERATE": (workloads.Work("tiny", tiny, 2, 3),)}),
        (speed, {"DCGAN": tiny}),
        (costs, {"DCGAN": tiny, "SMALL": tiny, "SAMPLES": (2, 4)}),
        (costs, {"SIZES": {**dict.fromkeys(costs.SIZES, (4, 8)), PIXELS: (64, 128)}}),
        # Processes of their own are started by a test of their own. This one may hold
        # freed memory enough, so that nothing is taken.
        (costs, {"alone": lambda function, *given: max(1, function(*given))}),
        (metrics, {"CLIPS": 2, "FRAMES": 3, "IMAGES": 600, "AT_ONCE": 2}),
        (metrics, {"rate": functools.partial(tables.rate, seconds=0.01)}),
        (precision, {"CONFIG": tiny, "BATCH": 2, "FRAMES": 5, "CLIPS": 2}),
        (start, {"first_futures": lambda repeats: [{"s": 1.0}]}),
        (processes, {"efficiency": lambda: [{"processes": "1"}]}),
        (data, {"run": lambda: ([{"random clips": "none"}], [{"workers": "0"}])}),
        (torch, {"compile": lambda forward, **options: forward}),
    ):
        for name, value in values.items():
            monkeypatch.setattr(module, name, value)


@pytest.mark.slow
def test_every_table_can_be_made(small):
    work = [*benchmark.WORK, "--steps", "2", "--seeds", "1", "--repeats", "1"]
    args = benchmark.parse([*work, "--num-samples", "2"])
    made = dict(benchmark.tables(args, torch.device("cpu")))
    assert len(made) == 15
    for rows in made.values():
        assert rows and all(row.keys() == rows[0].keys() for row in rows)
    peaks = {row["GFLOP/s in"]: row for row in made["Peaks"]}
    assert peaks["float32"]["GEMM"] > 1 and peaks["bf16"]["conv"] > 0
    for title in ("Training", "Sampled futures"):
        row = made[title][0]
        assert row["ours in"] == "float32" and row["ours frames/s"] > 0
        assert row["ratio"] == pytest.approx(
            row["ours frames/s"] / row["baseline frames/s"]
        )
        assert 0 < row["ours % of peak"] < 200
    (compiled, *_) = made["Compiled networks"]
    assert compiled["generate"] == "tiny, 2 samples" and compiled["first call s"] > 0
    assert compiled["ratio"] == compiled["not compiled s"] / compiled["then s"]
    assert [row["cost of"] for row in made["How time grows"]] == [*costs.SIZES]
    assert [row["protocol"] for row in made["Scoring images"]] == [*PROTOCOLS]
    assert len(made["Memory of training"]) == 4
    few, many = made["Memory of futures"]
    assert few["ratio"] == 1 and many["futures of 2 clips, 28 frames"] == "4 samples"


def test_the_table_of_precisions(small):
    exact, *others = precision.compare(torch.device("cpu"), steps=2, seeds=1)
    assert exact["PSNR, less float32's"] == 0 and exact["PSNR [dB]"] > 5
    assert len(others) == 3
    for row in others:
        assert abs(row["PSNR, less float32's"]) < 0.1
        assert row["KL [nats/frame]"] != exact["KL [nats/frame]"]


@pytest.mark.slow
def test_memory_is_measured_in_a_process_of_its_own(tiny):
    # A process that has drawn nothing yet: the frames of three futures and more.
    taken = costs.alone(costs.futures_bytes, torch.device("cpu"), tiny, 3)
    assert 3 * 28 * 64 * 64 * 4 < taken < 500e6


@pytest.mark.slow
def test_two_processes_share_the_work(tiny, monkeypatch):
    monkeypatch.setattr(processes, "CONFIG", tiny)
    one, two = processes.efficiency()
    assert (one["processes"], two["processes"]) == ("1", "2")
    assert one["% of the ideal"] == 100
    assert two["frames/s"] / one["frames/s"] == pytest.approx(
        two["% of the ideal"] / 50
    )


@pytest.mark.slow
def test_the_first_future_of_each_model_is_timed():
    rows = start.first_futures(1)
    assert [row["one future of 10 frames"] for row in rows] == svg_pyro.shipped()
    assert all(0.5 < row["s"] < 120 for row in rows)


def test_precisions_that_are_slow_here_are_left_out():
    slow = {"float32": {"GEMM": 2.0, "conv": 3.0}, "bf16": {"GEMM": 2.5, "conv": 1.0}}
    assert speed.worth_it(slow) == ["float32"]
    fast = {**slow, "bf16": {"GEMM": 9.0, "conv": 1.0}}
    assert speed.worth_it(fast) == ["float32", "bf16"]


def test_the_tables_of_data(monkeypatch, capsys, tmp_path):
    makers = {k: v for k, v in data.MAKERS.items() if k.startswith("Moving")}
    monkeypatch.setattr(data, "MAKERS", makers)
    monkeypatch.setattr(data, "decoding", lambda folder: [])
    monkeypatch.setattr(data, "ahead", lambda: [{"workers": "0", "frames/s": 1.0}])
    benchmark.benchmark(["data", "--json", str(tmp_path / "out.json")])
    out = capsys.readouterr().out
    assert "Moving MNIST, 2 digits" in out and "20000" in out
    assert '"frames/s"' in (tmp_path / "out.json").read_text()
