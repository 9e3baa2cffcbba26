"""The options that weights of the first code need, against its rules restated."""

import copy
from dataclasses import replace

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive, TraceMeanField_ELBO
from support import first_code
from torch import nn

from svg_pyro import SVG, ConfigError, FramesError, Sampler, SVGConfig
from svg_pyro.model.batch_norm import generating
from svg_pyro.model.features import encode
from svg_pyro.training.recompute import recomputed

CONFIG = SVGConfig(
    channels=1,
    width=2,
    g_dim=5,
    z_dim=2,
    rnn_size=6,
    n_past=3,
    beta=1e-3,
    skip_from="before_context",
    posterior_start=2,
)
LEARNED = {"batch_norm": "time", "generation_norm": "batch"}
FIXED = {"prior": "fixed", "batch_norm": "time", "context_latents": "mean"}
VGG = {"backbone": "vgg", "channels": 3, "last_frame_skip": True}


def model(**changes):
    torch.manual_seed(0)
    svg = SVG(replace(CONFIG, **changes)).double()
    with torch.no_grad():
        for p in svg.parameters():
            p.add_(0.1 * torch.randn_like(p))
        for m in svg.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.running_mean.normal_(0, 0.1)
                m.running_var.uniform_(0.8, 1.2)
    return svg


def clip(svg, steps=6, batch=3):
    torch.manual_seed(1)
    return torch.rand(batch, steps, *svg.frame_shape, dtype=torch.float64)


def close(got, want, tolerance=1e-12):
    scale = want.abs().max().clamp_min(1e-300)
    assert ((got - want).abs().max() / scale).item() < tolerance


def statistics(svg):
    return {n: b.clone() for n, b in svg.named_buffers()}


def drawn(svg, frames):
    """The guide's trace, and the standard normal noise behind its latents."""
    guide = poutine.trace(svg.guide).get_trace(frames)
    q = guide.nodes["z"]["fn"].base_dist
    return guide, ((guide.nodes["z"]["value"] - q.loc) / q.scale).detach()


def papers_loss(svg, frames):
    """mse + beta * kl of a pass in Pyro; Pyro's own loss has sigma in float32."""
    guide = poutine.trace(svg.guide).get_trace(frames)
    trace = poutine.trace(poutine.replay(svg.model, trace=guide)).get_trace(frames)
    q, p, x = guide.nodes["z"]["fn"], trace.nodes["z"]["fn"], trace.nodes["x"]
    kl = torch.distributions.kl_divergence(q, p).sum() / len(frames)
    mse = (x["fn"].mean - x["value"]).square().mean((0, 2, 3, 4)).sum()
    return mse + svg.config.beta * kl


def without_samples(svg):
    """The KL of a clip in nats, and the guide's distribution."""
    svg.eval()
    frames = clip(svg)
    guide, noise = drawn(svg, frames)
    trace = poutine.trace(poutine.replay(svg.model, trace=guide)).get_trace(frames)
    q, p = guide.nodes["z"]["fn"], trace.nodes["z"]["fn"]
    return torch.distributions.kl_divergence(q, p).sum() / len(frames), noise, frames


@pytest.mark.parametrize("changes", [{}, {"prior": "fixed"}], ids=str)
def test_the_posterior_that_starts_at_the_second_frame_is_the_first_codes(changes):
    svg = model(**changes)
    kl, noise, frames = without_samples(svg)
    close(kl, first_code.loss(svg, frames, noise)[1])
    changed = frames.clone()
    changed[:, 0] = 1 - changed[:, 0]
    q, other = (
        poutine.trace(svg.guide).get_trace(x).nodes["z"]["fn"]
        for x in (frames, changed)
    )
    close(other.mean, q.mean)
    early = model(**changes, posterior_start=1)
    assert abs(without_samples(early)[0] / kl - 1) > 1e-6


def test_states_frame_by_frame_start_the_posterior_where_the_clip_does():
    svg = model().eval()
    frames = clip(svg)
    guide, _ = drawn(svg, frames)
    trace = poutine.trace(poutine.replay(svg.model, trace=guide)).get_trace(frames)
    q, p = guide.nodes["z"]["fn"], trace.nodes["z"]["fn"]
    z, kl = guide.nodes["z"]["value"], torch.distributions.kl_divergence(q, p)
    state = svg.start(frames[:, 0])
    assert state.posterior is None
    for t in range(1, frames.shape[1]):
        state = svg.step(state, frames[:, t], z=z[:, t - 1])
        close(state.kl, kl[:, t - 1], 1e-10)
    many = svg.start(frames[:, 0]).expand(4)[torch.tensor([0, 2])]
    assert svg.step(many, frames[:, 1]).kl.shape == (2, 3)


@pytest.mark.parametrize("changes", [LEARNED, FIXED, {**LEARNED, **VGG}], ids=str)
@pytest.mark.parametrize("little_memory", [False, True])
def test_a_step_by_time_is_the_first_codes(changes, little_memory):
    svg = model(**changes).train()
    frames = clip(svg)
    loop, before = copy.deepcopy(svg), statistics(svg)
    pyro.set_rng_seed(3)
    _, noise = drawn(svg, frames)
    with torch.no_grad():
        for name, buffer in svg.named_buffers():
            buffer.copy_(before[name])
    want, kl = first_code.loss(loop, frames, noise)
    want.backward()
    pyro.set_rng_seed(3)
    with recomputed(svg, when=little_memory):
        loss = papers_loss(svg, frames)
        loss.backward()
    close(loss, want)
    assert kl > 0
    wanted = dict(loop.named_parameters())
    for name, p in svg.named_parameters():
        # That of a bias before BatchNorm is rounding alone.
        if wanted[name].grad.abs().max() > 1e-14:
            close(p.grad, wanted[name].grad)
    for name, buffer in statistics(loop).items():
        close(buffer.double() - before[name], statistics(svg)[name] - before[name])


def test_all_frames_at_once_are_another_step():
    losses = []
    for norm in ("time", "frames"):
        svg = model(batch_norm=norm).train()
        pyro.set_rng_seed(3)
        losses.append(TraceMeanField_ELBO().loss(svg.model, svg.guide, clip(svg)))
    assert abs(losses[0] / losses[1] - 1) > 1e-5


@pytest.mark.parametrize("changes", [LEARNED, {**LEARNED, **VGG}, FIXED], ids=str)
def test_futures_are_the_first_codes_in_its_mode(changes):
    svg = model(**changes).train()
    frames = clip(svg, 4)
    before = statistics(svg)
    with generating(svg):
        features = encode(svg.encoder, frames)
    guide, traced = svg.sample_traces(features, 2, 3, score=False)
    futures = traced.nodes["_RETURN"]["value"]
    sites = [traced.nodes[f"z_{t}"]["value"] for t in (5, 6, 7)]
    context = guide.nodes["z"]["value"].expand(2, 3, 3, 2)
    latents = torch.cat([context, *sites], 2)
    loop = copy.deepcopy(svg).train(svg.config.generation_norm == "batch")
    if svg.config.context_latents == "mean":
        close(context[0], first_code.posterior_means(loop, frames))
        close(context[1], context[0])
    else:
        assert (context[0] - context[1]).abs().max() > 1e-3
    for k in range(2):
        with torch.no_grad():
            want = first_code.generate(loop, frames, 4, latents[k])
        close(futures[k], want[:, 3:])
    for name, buffer in svg.named_buffers():
        assert torch.equal(buffer, before[name])
    assert svg.training and svg.encoder.training


def test_predict_predictive_and_sampler_take_the_statistics_of_their_clips():
    svg = model(**LEARNED).eval()
    frames = clip(svg, 4)
    before, futures = statistics(svg), []
    pyro.set_rng_seed(4)
    futures.append(svg.predict(frames, 3, 2))
    pyro.set_rng_seed(4)
    futures.append(Sampler(svg).predict(frames, 3, 2))
    close(futures[0], futures[1])
    pyro.set_rng_seed(4)
    predictive = Predictive(svg.model, guide=svg.guide, num_samples=2, parallel=False)
    assert predictive(frames, 3)["x_future"].shape[-5:] == (3, 3, 1, 64, 64)
    alone = svg.predict(frames[:2], 3, 2)
    assert alone.shape == (2, 2, 3, 1, 64, 64)
    running = model(generation_norm="running").eval().predict(frames, 3, 2)
    assert (running - futures[0]).abs().max() > 1e-4
    for name, buffer in svg.named_buffers():
        assert torch.equal(buffer, before[name])
    with pytest.raises(ConfigError, match="not compiled"):
        Sampler(svg, compiled=True)


@pytest.mark.parametrize("changes", [LEARNED, FIXED, {**LEARNED, **VGG}], ids=str)
@pytest.mark.parametrize("context", [1, 3])
def test_reconstruction_rows_are_the_first_codes(changes, context):
    svg = model(**changes)
    frames = clip(svg)
    loop = copy.deepcopy(svg).train(svg.config.generation_norm == "batch")
    with torch.no_grad():
        means = first_code.posterior_means(loop, frames)
        want = first_code.generate(loop, frames, max(2, context), means)
    if context > 1:  # the first code has no skip of a frame before the first
        close(svg.reconstruct(frames, context=context), want)
    rows = svg.reconstruct(frames, context=context)
    assert torch.equal(rows, svg.reconstruct(frames, context=context))
    assert rows.shape == frames[:, 1:].shape
    assert torch.equal(rows[:, : context - 1], frames[:, 1:context])
    assert svg.reconstruct(frames).shape == rows.shape


def test_bad_options_and_clips_are_one_line():
    for changes in (
        {"posterior_start": 3},
        {"batch_norm": "clips"},
        {"generation_norm": True},
        {"context_latents": "means"},
        {"posterior_start": 2, "guide": "prior"},
    ):
        with pytest.raises(ConfigError, match=next(iter(changes))) as caught:
            SVG(replace(CONFIG, **changes))
        assert "\n" not in str(caught.value)
    svg = model(**LEARNED)
    frames = clip(svg)
    for run in (
        lambda: svg.reconstruct(frames, context=6),
        lambda: svg.reconstruct(frames, context=0),
        lambda: svg.predict(frames[:1], 2),
        lambda: svg.train().model(frames[:1]),
    ):
        with pytest.raises(FramesError) as caught:
            run()
        assert "\n" not in str(caught.value)
    flow = model(guide="flow", context_latents="mean")
    with pytest.raises(ConfigError, match="'flow' has no mean"):
        flow.predict(clip(flow), 2)
