"""What only a CUDA device can show."""

import warnings

import pyro
import pytest
import torch
from conftest import Squares

import svg_pyro
from svg_pyro import SVG, TrainingConfig
from svg_pyro.training import Trainer

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA device"
)


def trainer(config, out):
    training = TrainingConfig(
        steps=4, batch_size=3, n_frames=5, log_every=2, validate_every=100,
        save_every=100,
    )  # fmt: skip
    return Trainer(SVG(config).cuda(), Squares(), training, out)


def test_training_and_prediction(tiny, tmp_path):
    run = trainer(tiny, tmp_path)
    assert run.run()
    svg = svg_pyro.load(run.checkpoint_path, map_location="cuda")
    futures = svg.predict(torch.rand(2, 2, 1, 64, 64, device="cuda"), 3, 4)
    assert futures.is_cuda and futures.isfinite().all()


def test_a_step_does_not_wait_for_the_device(tiny, tmp_path):
    run = trainer(tiny, tmp_path)
    run.svg.train()
    read = run._batches()
    with pyro.validation_enabled(False):
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
