"""What only a CUDA device can show."""

import contextlib
import dataclasses
import os
import signal
import warnings

import pyro
import pytest
import torch
from pyro.infer import Trace_ELBO
from support.group import (
    GROUP_NORM,
    RANKS,
    a_group_of_one,
    in_two_processes,
    their_cuda_gradients,
)
from support.squares import Squares
from support.steady import frames_of, gradients, steady
from torch.nn import functional as F

import svg_pyro
from svg_pyro import SVG, Sampler, TrainingConfig, TrainingError
from svg_pyro.config import PRECISIONS
from svg_pyro.model.precision import autocast
from svg_pyro.training.recompute import recomputed
from svg_pyro.training.step import LossAndGrads
from svg_pyro.training.trainer import Trainer

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device"
)


def trainer(config, out, **changes):
    training = TrainingConfig(
        steps=4,
        batch_size=3,
        n_frames=5,
        log_every=2,
        validate_every=100,
        save_every=100,
        **changes,
    )
    return Trainer(SVG(config).cuda(), Squares(), training, out)


def test_training_and_prediction(tiny, tmp_path):
    run = trainer(tiny, tmp_path)
    assert run.run()
    svg = svg_pyro.load(run.checkpoint_path, map_location="cuda")
    futures = svg.predict(torch.rand(2, 2, 1, 64, 64, device="cuda"), 3, 4)
    assert futures.is_cuda and futures.isfinite().all()


@contextlib.contextmanager
def no_waiting():
    """What waits for the device is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says the mode is a prototype
        try:
            torch.cuda.set_sync_debug_mode("error")
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("lean", [False, True])
def test_a_step_does_not_wait_for_the_device(tiny, tmp_path, lean, precision):
    run = trainer(tiny, tmp_path, accumulate=3 if lean else 1, precision=precision)
    run.svg.train()
    read = run._batches()
    with pyro.validation_enabled(False), recomputed(run.svg, when=lean):
        run._one_step(*next(read))
        with no_waiting():
            run._one_step(*next(read))


def interrupt():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("changes", [{}, {"dynamics": "maps", "warp": True}])
def test_a_resume_goes_on_as_if_nothing_had_stopped(tiny, tmp_path, changes):
    """To rounding: gradients of what moves a frame are summed in any order there."""
    config = dataclasses.replace(tiny, **changes)
    whole = trainer(config, tmp_path / "whole")
    assert whole.run()
    first = trainer(config, tmp_path / "parts")
    first._at_intervals = lambda bar: first.step == 2 and interrupt()
    assert not first.run() and first.step == 2
    pyro.clear_param_store()
    second = trainer(config, tmp_path / "parts")
    second.resume()
    assert second.run() and second.step == 4
    # Not of the weights: a bias before BatchNorm is moved by rounding alone.
    x = torch.rand(2, 2, 1, 64, 64, device="cuda")
    futures = [run.svg.eval().predict(x, 3, 2, seed=1) for run in (whole, second)]
    torch.testing.assert_close(*futures, rtol=0, atol=1e-2)


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


def drawn(predict, x):
    torch.manual_seed(5)
    return predict(x, 4, 5, chunk_size=2)


# PyTorch's own: its advice to take TF32, and what it says of its own first graph.
@pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores")
@pytest.mark.filterwarnings("ignore:The CUDA Graph is empty")
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("changes", [{}, {"last_frame_skip": True}, {"prior": "none"}])
def test_futures_from_cuda_graphs(tiny, changes, precision):
    """Two calls, so that the second one is replayed from its first step on."""
    svg = SVG(dataclasses.replace(tiny, **changes)).cuda().eval()
    x = torch.rand(2, 3, 1, 64, 64, device="cuda")
    with autocast(x.device, precision):
        want = drawn(svg.predict, x)
    sampler = Sampler(svg, precision, compiled=True)
    # A sum in another order, fed back three times; bfloat16 has 3 digits.
    limit = 1e-4 if precision == "float32" else 0.03
    for _ in range(2):
        # All but the last chunk, which is drawn in the size of the others.
        difference = drawn(sampler.predict, x)[:4] - want[:4]
        assert difference.abs().max() < limit


def test_float32_is_float32_and_tf32_is_not():
    x, w = torch.rand(8, 64, 16, 16), torch.rand(64, 64, 3, 3)
    want = F.conv2d(x.double(), w.double())
    errors = {}
    for precision in ("float32", "tf32"):
        with autocast(torch.device("cuda"), precision):
            y = F.conv2d(x.cuda(), w.cuda()).cpu().double()
        errors[precision] = ((y - want).abs().max() / want.max()).item()
    assert errors["float32"] < 1e-5
    if torch.cuda.get_device_capability() >= (8, 0):
        assert 1e-5 < errors["tf32"] < 1e-3


def peak(svg, frames, chunks, recompute):
    """Bytes that a step takes beside the weights and their gradients."""
    step = LossAndGrads(svg, Trace_ELBO(), chunks)
    with recomputed(svg, when=recompute):
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
    # What cuDNN works in is in both, and is much of so small a model's.
    assert peak(svg, frames, 1, True) < 0.9 * whole


def test_out_of_memory_is_one_line(tiny, tmp_path):
    run = trainer(tiny, tmp_path)
    free, _ = torch.cuda.mem_get_info()
    run.svi.step = lambda frames, **options: torch.empty(2 * free, device="cuda")
    with pytest.raises(TrainingError) as error:
        run.run()
    message = str(error.value)
    assert "out of memory on cuda" in message and "accumulate" in message
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
