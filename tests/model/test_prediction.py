"""Futures: Predictive and predict, against the paper's loop and against each other."""

import numpy as np
import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive
from support.futures import awake, contexts
from support.paper_loop import paper_generate

import svg_pyro
from svg_pyro import SVG, FramesError

VARIANTS = [
    {},
    {"skip_from": "before_context"},
    {"last_frame_skip": True},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_future_is_the_papers_generation(tiny, changes):
    svg = awake(tiny, **changes).eval()
    x = contexts()
    predictive = Predictive(svg.model, guide=svg.guide, num_samples=4, parallel=True)
    sites = predictive(x, horizon=3)
    for s in range(4):
        latents = torch.cat(
            [sites["z"][s], *(sites[f"z_{t}"][s] for t in (4, 5, 6))], 1
        )
        with torch.no_grad():
            want = paper_generate(svg, x, latents)
        torch.testing.assert_close(sites["x_future"][s], want, rtol=1e-9, atol=1e-10)


def test_shapes_of_a_prediction(tiny, device):
    svg = SVG(tiny).to(device)
    x = torch.rand(2, 3, 1, 64, 64, device=device)
    predictive = Predictive(svg.model, guide=svg.guide, num_samples=5, parallel=True)
    sites = predictive(x, horizon=4)
    assert sites["x_future"].shape == (5, 2, 4, 1, 64, 64)
    assert sites["z"].shape == (5, 2, 2, 3)
    assert sites["z_4"].shape == (5, 2, 1, 3)
    assert svg.predict(x, 4, 5).shape == (5, 2, 4, 1, 64, 64)
    assert svg.reconstruct(x).shape == (2, 2, 1, 64, 64)


@pytest.mark.parametrize("steps", [1, 3])
def test_parallel_equals_sequential_under_fixed_latents(tiny, steps):
    svg = awake(tiny)
    x = contexts(steps=steps)
    predictive = Predictive(svg.model, guide=svg.guide, num_samples=3, parallel=True)
    sites = predictive(x, horizon=3)
    future = sites.pop("x_future")
    for parallel in (True, False):
        again = Predictive(svg.model, posterior_samples=sites, parallel=parallel)
        torch.testing.assert_close(
            again(x, horizon=3)["x_future"], future, rtol=1e-9, atol=1e-10
        )


def test_predict_is_distributed_as_predictive(tiny):
    # Two samplers of one distribution: their means agree, pixel by pixel, within five
    # standard errors of the difference, and their spreads within a fifth.
    svg = awake(tiny, z_dim=2)
    x = contexts(batch=1, steps=2)
    predictive = Predictive(svg.model, guide=svg.guide, num_samples=400, parallel=True)
    ours = svg.predict(x, 2, 400, chunk_size=150)
    theirs = predictive(x, horizon=2)["x_future"]
    error = ((ours.var(0) + theirs.var(0)) / 400).sqrt()
    assert ((ours.mean(0) - theirs.mean(0)).abs() < 5 * error + 1e-9).all()
    ratio = ours.std(0).mean() / theirs.std(0).mean()
    assert 0.8 < ratio < 1.2


def test_samples_of_a_clip_differ_also_across_chunks(tiny):
    svg = awake(tiny)
    futures = svg.predict(contexts(batch=1), 2, 6, chunk_size=2)
    # A spread over the samples, not only from chunk to chunk.
    apart = torch.pdist(futures.flatten(1))
    assert apart.min() > 0.1 * apart.mean() > 0


def test_deterministic_predictor_has_one_future(tiny):
    svg = awake(tiny, prior="none")
    futures = svg.predict(contexts(), 2, 3)
    assert torch.equal(futures[0], futures[1])
    trace = poutine.trace(svg.model).get_trace(contexts())
    assert trace.stochastic_nodes == ["batch", "frames"]


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_prediction_leaves_the_model_as_it_was(tiny, norm):
    svg = awake(tiny, norm=norm).train()
    before = {k: v.clone() for k, v in svg.state_dict().items()}
    x = contexts()
    Predictive(svg.model, guide=svg.guide, num_samples=2, parallel=True)(x, horizon=2)
    svg.predict(x, 2, 2)
    svg.reconstruct(x)
    assert all(m.training for m in svg.modules())
    for name, value in svg.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_prediction_of_a_clip_does_not_depend_on_its_batch(tiny):
    svg = awake(tiny).train()
    x = contexts(batch=3)
    predictive = Predictive(svg.model, guide=svg.guide, num_samples=2, parallel=True)
    sites = predictive(x, horizon=2)
    future = sites.pop("x_future")
    alone = {k: v[:, 1:2] for k, v in sites.items()}
    again = Predictive(svg.model, posterior_samples=alone, parallel=True)
    torch.testing.assert_close(
        again(x[1:2], horizon=2)["x_future"], future[:, 1:2], rtol=1e-9, atol=1e-10
    )


def test_reconstruction_is_the_models_mean_under_the_guide(tiny):
    svg = awake(tiny).eval()
    x = contexts(steps=4)
    pyro.set_rng_seed(5)
    ours = svg.reconstruct(x)
    pyro.set_rng_seed(5)
    with torch.no_grad():
        guide = poutine.trace(svg.guide).get_trace(x)
        model = poutine.trace(poutine.replay(svg.model, trace=guide)).get_trace(x)
    assert torch.equal(ours, model.nodes["x"]["fn"].mean)


def test_scored_context_beside_a_future(tiny):
    svg = awake(tiny)
    x = contexts()
    with_x = poutine.trace(svg.model).get_trace(x, horizon=1, score=True)
    without = poutine.trace(svg.model).get_trace(x, horizon=1)
    assert "x" in with_x.nodes and "x" not in without.nodes


def test_same_seed_same_futures(tiny):
    svg = awake(tiny)
    x = contexts()
    pyro.set_rng_seed(7)
    first = svg.predict(x, 3, 4)
    pyro.set_rng_seed(7)
    assert torch.equal(svg.predict(x, 3, 4), first)


@pytest.mark.parametrize(
    "change, words",
    [
        (
            torch.Tensor.double,
            r"torch.float64, the model's weights torch.float32",
        ),
        (torch.Tensor.half, r"frames.to\(torch.float32\)"),
        (lambda x: x.to("meta"), r'on meta, the model on cpu; give frames.to\("cpu"\)'),
        (torch.Tensor.to_sparse, r"torch.sparse_coo; give frames.to_dense\(\)"),
    ],
)
def test_frames_that_do_not_go_with_the_weights_are_one_line(tiny, change, words):
    svg, x = SVG(tiny).eval(), change(contexts())
    frame = x[:, 0] if x.layout == torch.strided else x.to_dense()[:, 0].to_sparse()
    calls = [
        lambda: svg.predict(x, 1),
        lambda: svg.start(frame),
        lambda: svg_pyro.log_evidence(svg, x, 2),
        lambda: Predictive(svg, guide=svg.guide, num_samples=1)(x, horizon=1),
    ]
    for call in calls:
        with pytest.raises(FramesError, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_frames_of_another_precision_go_with_autocast(tiny):
    svg, x = SVG(tiny).eval(), contexts()
    with torch.autocast("cpu", torch.bfloat16):
        assert svg.predict(x.bfloat16(), 1).shape[2:4] == (1, 1)


@pytest.mark.parametrize("name", ["horizon", "num_samples"])
def test_sizes_that_overflow_are_one_line(tiny, name):
    counts = {"horizon": 1, "num_samples": 1, name: 10**30}
    with pytest.raises(FramesError, match=f"{name} is a number beyond"):
        SVG(tiny).predict(contexts(), **counts)


def test_counts_may_be_integers_of_numpy(tiny):
    svg, x = awake(tiny).eval(), contexts()
    two, three, seed = np.int64(2), np.int32(3), np.uint8(7)
    got = svg.predict(x, two, three, chunk_size=two, seed=seed)
    assert torch.equal(got, svg.predict(x, 2, 3, chunk_size=2, seed=7))
