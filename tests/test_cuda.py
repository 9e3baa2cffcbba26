"""What only a CUDA device can show."""

import dataclasses
import warnings

import pyro
import pytest
import torch
from conftest import Squares
from group import (
    GROUP_NORM,
    RANKS,
    a_group_of_one,
    in_two_processes,
    their_cuda_gradients,
)
from pyro.infer import Trace_ELBO
from test_memory import frames_of, gradients, steady

import svg_pyro
from svg_pyro import SVG, TrainingConfig, TrainingError
from svg_pyro.memory import recomputed
from svg_pyro.stepping import LossAndGrads
from svg_pyro.training import Trainer

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device"
)


def trainer(config, out, **changes):
    training = TrainingConfig(
        steps=4, batch_size=3, n_frames=5, log_every=2, validate_every=100,
        save_every=100, **changes,
    )  # fmt: skip
    return Trainer(SVG(config).cuda(), Squares(), training, out)


def test_training_and_prediction(tiny, tmp_path):
    run = trainer(tiny, tmp_path)
    assert run.run()
    svg = svg_pyro.load(run.checkpoint_path, map_location="cuda")
    futures = svg.predict(torch.rand(2, 2, 1, 64, 64, device="cuda"), 3, 4)
    assert futures.is_cuda and futures.isfinite().all()


@pytest.mark.parametrize("lean", [False, True])
def test_a_step_does_not_wait_for_the_device(tiny, tmp_path, lean):
    run = trainer(tiny, tmp_path, accumulate=3 if lean else 1)
    run.svg.train()
    read = run._batches()
    with pyro.validation_enabled(False), recomputed(run.svg, lean):
        run._one_step(*next(read))
        torch.cuda.set_sync_debug_mode("error")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PyTorch says the mode is a prototype
                run._one_step(*next(read))
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_futures_agree_with_the_cpu(tiny):
    svg = SVG(tiny).double().eval()
    x = torch.rand(2, 3, 1, 64, 64).double()
    predictive = pyro.infer.Predictive(
        svg.model, guide=svg.guide, num_samples=2, parallel=True
    )
    sites = predictive(x, horizon=3)
    future = sites.pop("x_future")
    svg.cuda()
    sites = {k: v.cuda() for k, v in sites.items()}
    again = pyro.infer.Predictive(svg.model, posterior_samples=sites, parallel=True)
    there = again(x.cuda(), horizon=3)["x_future"].cpu()
    torch.testing.assert_close(there, future, rtol=1e-8, atol=1e-8)


def peak(svg, frames, chunks, recompute):
    """Bytes that a step takes beside the weights and their gradients."""
    step = LossAndGrads(svg, Trace_ELBO(), chunks)
    with recomputed(svg, recompute):
        step(svg.model, svg.guide, frames)
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step(svg.model, svg.guide, frames)
    return torch.cuda.max_memory_allocated() - before


def test_chunks_and_recomputation_need_less_memory(tiny):
    config = dataclasses.replace(tiny, backbone="vgg", width=16)
    svg = SVG(config).cuda().train()
    frames = torch.rand(8, 6, 1, 64, 64, device="cuda")
    whole = peak(svg, frames, 1, False)
    assert peak(svg, frames, 4, False) < 0.5 * whole
    assert peak(svg, frames, 1, True) < 0.7 * whole


def test_out_of_memory_is_one_line(tiny, tmp_path):
    run = trainer(tiny, tmp_path)
    free, _ = torch.cuda.mem_get_info()
    run.svi.step = lambda frames: torch.empty(2 * free, device="cuda")
    with pytest.raises(TrainingError) as error:
        run.run()
    message = str(error.value)
    assert "out of memory on cuda" in message and "--accumulate" in message
    assert "\n" not in message


def joint_gradients(frames):
    """The oracle: one process, no chunks, no wrapper."""
    svg = steady(GROUP_NORM).cuda()
    loss = Trace_ELBO().differentiable_loss(svg.model, svg.guide, frames.cuda())
    (loss / (len(frames) * 4)).backward()
    return gradients(svg)


def test_nccl_in_a_group_of_one():
    want = joint_gradients(frames_of(8))
    with a_group_of_one():
        svg = steady(GROUP_NORM).cuda()
        step = LossAndGrads(svg, Trace_ELBO(), accumulate=2)
        step(svg.model, svg.guide, frames_of(8).cuda())
    for name, value in gradients(svg).items():
        torch.testing.assert_close(value, want[name], rtol=1e-8, atol=1e-8, msg=name)


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_nccl_in_two_processes(tmp_path):
    in_two_processes(their_cuda_gradients, tmp_path)
    want = joint_gradients(frames_of(8))
    for rank in range(RANKS):
        found = torch.load(tmp_path / f"{rank}.pt", map_location="cuda:0")
        for name, value in found.items():
            torch.testing.assert_close(
                value, want[name], rtol=1e-8, atol=1e-8, msg=name
            )
