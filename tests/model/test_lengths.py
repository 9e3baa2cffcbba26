"""Padded clips of several lengths against the same clips, each cut to its length."""

import dataclasses

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import RenyiELBO, Trace_ELBO, TraceMeanField_ELBO
from pyro.poutine.messenger import Messenger

from svg_pyro import SVG, ConfigError, FramesError, SVGConfig
from svg_pyro.evaluation.likelihood import likelihood
from svg_pyro.training.elbos import ELBOS
from svg_pyro.training.step import LossAndGrads
from svg_pyro.training.terms import ELBOTerms

CONFIG = SVGConfig(
    channels=1, width=2, g_dim=5, z_dim=2, rnn_size=6, n_past=2, beta=1e-3
)
LENGTHS = [6, 2, 4]
GROUP = {"norm": "group"}
CHANGES = [
    GROUP,
    GROUP | {"guide": "smoothing"},
    GROUP | {"guide": "smoothing", "observation": "logistic"},
    GROUP | {"observation": "learned-sigma", "pixel_skip": True},
    GROUP | {"last_frame_skip": True, "prior": "mixture"},
    GROUP | {"skip_from": "before_context", "n_past": 4},
    GROUP | {"prior": "none"},
    GROUP | {"guide": "prior"},
    GROUP | {"warp": True},
    GROUP | {"dynamics": "maps"},
    {"norm": "batch"},
]


def model(**changes):
    """In training mode, but for BatchNorm, in float64."""
    torch.manual_seed(0)
    svg = SVG(dataclasses.replace(CONFIG, **changes)).double()
    for p in svg.parameters():
        p.data += 0.1 * torch.randn_like(p)
    return svg.eval() if svg.config.norm == "batch" else svg


def clips(padding=None):
    torch.manual_seed(1)
    frames = torch.rand(3, 6, 1, 64, 64, dtype=torch.float64)
    for clip, length in enumerate(LENGTHS):
        if padding is not None:
            frames[clip, length:] = padding
    return frames


class FixedNoise(Messenger):
    """Draws of a Gaussian guide from noise that is given: the same for cut clips."""

    def __init__(self, clip=slice(None), steps=5):
        super().__init__()
        noise = torch.randn(
            3, 5, 2, generator=torch.Generator().manual_seed(2)
        ).double()
        self.noise = noise[clip, :steps]

    def _pyro_sample(self, msg):
        if msg["name"] == "z":
            base = msg["fn"].base_dist
            msg["value"] = base.loc + base.scale * self.noise
            msg["fn"] = msg["fn"].expand(self.noise.shape[:-1])
            msg["done"] = True


def loss_of(svg, frames, noise, elbo=None, **options):
    """-ELBO with its graph, and the logged terms."""

    def guide(*args, **kwargs):
        with noise:
            svg.guide(*args, **kwargs)

    elbo = elbo or Trace_ELBO()
    with ELBOTerms() as terms:
        loss = elbo.differentiable_loss(svg.model, guide, frames, **options)
    return loss, terms.per_frame()


def gradient(svg, loss):
    weights = dict(svg.named_parameters())
    grads = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    return {k: g for k, g in zip(weights, grads, strict=True) if g is not None}


def assert_same_gradient(ours, want):
    assert ours.keys() == want.keys()
    scale = max(g.abs().max() for g in want.values())
    for name, grad in want.items():
        error = (ours[name] - grad).abs().max()
        assert error <= 1e-11 * scale, (name, error.item(), scale.item())


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_padded_clips_are_what_each_is_when_cut(changes):
    svg = model(**changes)
    padded, terms = loss_of(svg, clips(), FixedNoise(), lengths=LENGTHS)
    want, want_terms = 0, []
    for clip, length in enumerate(LENGTHS):
        cut = clips()[clip : clip + 1, :length]
        noise = FixedNoise(slice(clip, clip + 1), length - 1)
        loss, of_clip = loss_of(svg, cut, noise)
        want = want + loss
        want_terms.append(of_clip)
    torch.testing.assert_close(padded, want, rtol=1e-12, atol=0)
    for ours, cut in zip(terms, zip(*want_terms, strict=True), strict=True):
        torch.testing.assert_close(ours, torch.cat(cut), rtol=1e-12, atol=1e-12)
    assert_same_gradient(gradient(svg, padded), gradient(svg, want))


@pytest.mark.parametrize("changes", [GROUP, {}], ids=str)
@pytest.mark.parametrize("padding", [0.0, 0.7, float("nan")])
def test_what_lies_in_the_padding_does_not_matter(changes, padding):
    svg = model(**changes).train()
    want, want_terms = loss_of(svg, clips(), FixedNoise(), lengths=LENGTHS)
    ours, terms = loss_of(svg, clips(padding), FixedNoise(), lengths=LENGTHS)
    assert torch.equal(ours, want)
    assert all(map(torch.equal, terms, want_terms))
    assert_same_gradient(gradient(svg, ours), gradient(svg, want))


@pytest.mark.parametrize("guide", ["filtering", "smoothing"])
def test_equal_lengths_in_training_are_a_shorter_batch(guide):
    # BatchNorm's statistics included.
    results = []
    for frames, steps, options in (
        (clips(), 5, {"lengths": [4, 4, 4]}),
        (clips()[:, :4], 3, {}),
    ):
        svg = model(guide=guide, observation="optimal-sigma").train()
        loss, _ = loss_of(svg, frames, FixedNoise(steps=steps), **options)
        results.append((loss, gradient(svg, loss), dict(svg.named_buffers())))
    (ours, grads, buffers), (want, want_grads, want_buffers) = results
    torch.testing.assert_close(ours, want, rtol=1e-12, atol=0)
    assert_same_gradient(grads, want_grads)
    for name, buffer in want_buffers.items():
        torch.testing.assert_close(buffers[name], buffer, rtol=1e-12, atol=1e-14)


def test_statistics_of_batchnorm_are_those_of_real_frames():
    svg = model().train()
    row = torch.cat([clip[:n] for clip, n in zip(clips(), LENGTHS, strict=True)])
    other = model().train()
    other.encoder(row)
    svg.model(clips(), lengths=LENGTHS)
    for (name, ours), want in zip(
        svg.encoder.named_buffers(), other.encoder.buffers(), strict=True
    ):
        torch.testing.assert_close(ours, want, rtol=1e-12, atol=1e-14, msg=name)


def test_the_optimal_sigma_is_that_of_real_frames():
    svg = model(**GROUP, observation="optimal-sigma")
    loss, _ = loss_of(svg, clips(), FixedNoise(), lengths=LENGTHS)
    other = model(**GROUP, observation="optimal-sigma")
    errors, kl = [], 0
    for clip, length in enumerate(LENGTHS):
        cut, noise = (
            clips()[clip : clip + 1, :length],
            FixedNoise(slice(clip, clip + 1), length - 1),
        )
        with noise:
            guide = poutine.trace(other.guide).get_trace(cut)
        trace = poutine.trace(poutine.replay(other.model, trace=guide)).get_trace(cut)
        errors.append((trace.nodes["x"]["fn"].mean - cut[:, 1:]).flatten())
        z = guide.nodes["z"]
        kl = kl + (z["fn"].log_prob(z["value"])).sum()
        kl = kl - trace.nodes["z"]["fn"].log_prob(z["value"]).sum()
    errors = torch.cat(errors)
    mean = errors.detach().square().mean()
    nll = -torch.distributions.Normal(0.0, mean.sqrt()).log_prob(errors).sum()
    torch.testing.assert_close(loss, nll + kl, rtol=1e-12, atol=0)
    assert_same_gradient(gradient(svg, loss), gradient(other, nll + kl))
    torch.testing.assert_close(svg.observation.squared_error.double(), mean)


@pytest.mark.parametrize("elbo", [TraceMeanField_ELBO, *ELBOS.values()])
def test_every_elbo_leaves_padding_out(elbo):
    svg = model(**GROUP)
    loss, _ = loss_of(svg, clips(), FixedNoise(), elbo(), lengths=LENGTHS)
    want = 0
    for clip, length in enumerate(LENGTHS):
        noise = FixedNoise(slice(clip, clip + 1), length - 1)
        want = want + loss_of(svg, clips()[clip : clip + 1, :length], noise, elbo())[0]
    torch.testing.assert_close(loss, want, rtol=1e-12, atol=0)


def test_particles_in_a_plate():
    svg = model(**GROUP)
    elbo = RenyiELBO(
        alpha=0, num_particles=3, vectorize_particles=True, max_plate_nesting=2
    )
    noise = FixedNoise()
    noise.noise = noise.noise.expand(3, -1, -1, -1)

    def guide(*args, **kwargs):
        with noise:
            svg.guide(*args, **kwargs)

    # Particles from one noise are all alike: the bound is that of one of them.
    loss = elbo.loss(svg.model, guide, clips(), lengths=torch.tensor(LENGTHS))
    want, _ = loss_of(svg, clips(), FixedNoise(), lengths=LENGTHS)
    assert loss == pytest.approx(want.item(), rel=1e-12)


def test_a_training_step_is_in_nats_a_real_frame():
    svg = model(**GROUP)
    elbo = ELBOS["mean-field"]()
    step = LossAndGrads(svg, elbo)
    pyro.set_rng_seed(3)
    step(svg.model, svg.guide, clips(), lengths=LENGTHS)
    ours = {k: p.grad.clone() for k, p in svg.named_parameters()}
    pyro.set_rng_seed(3)
    loss = elbo.differentiable_loss(svg.model, svg.guide, clips(), lengths=LENGTHS)
    assert_same_gradient(ours, gradient(svg, loss / (5 + 1 + 3)))
    svg.zero_grad()
    pyro.set_rng_seed(3)
    halves = LossAndGrads(svg, elbo, accumulate=3)
    halves(svg.model, svg.guide, clips(), lengths=LENGTHS)
    assert halves.terms[0].shape == (3,)


@pytest.mark.parametrize("prior", ["learned", "none"])
def test_likelihoods_of_padded_clips(prior):
    svg = model(prior=prior)
    given = likelihood(svg, clips(0.3), 2, lengths=LENGTHS)
    for clip, length in enumerate(LENGTHS):
        cut = likelihood(svg, clips()[clip : clip + 1, :length], 2)
        n = length - 1
        torch.testing.assert_close(given.kl[clip : clip + 1, :n], cut.kl)
        assert (given.kl[clip, n:] == 0).all()
        if prior == "none":
            torch.testing.assert_close(
                given.log_weights[:, clip : clip + 1], cut.log_weights
            )


@pytest.mark.parametrize(
    "lengths, words",
    [
        ([6, 2], r"shape \(2,\); give one for each of the 3"),
        ([6, 1, 4], "the length of clip 1 is 1; give 2 to 6"),
        ([6, 2, 7], "the length of clip 2 is 7; give 2 to 6"),
        ([6.0, 2.0, 4.0], "give whole numbers"),
        (torch.ones(3, 6, dtype=torch.bool), "give whole numbers"),
    ],
    ids=str,
)
def test_bad_lengths_are_one_line(lengths, words):
    svg = model()
    for program in (svg.model, svg.guide):
        with pytest.raises(FramesError, match=words) as caught:
            program(clips(), lengths=lengths)
        assert "\n" not in str(caught.value)


def test_batchnorm_by_time_is_refused():
    svg = model(batch_norm="time").train()
    with pytest.raises(ConfigError, match="BatchNorm by time"):
        svg.model(clips(), lengths=LENGTHS)


def test_padded_clips_have_no_future():
    with pytest.raises(FramesError, match="not its padding"):
        model().model(clips(), 3, lengths=LENGTHS)
    frames = clips()
    frames[1, 1] = 2.0
    with pytest.raises(FramesError, match="reach from 0"):
        model().model(frames, lengths=LENGTHS)
