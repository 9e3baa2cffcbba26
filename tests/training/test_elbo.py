"""The program against the paper's hand-written loss, and against Pyro's own ELBOs."""

import dataclasses

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import (
    SVI,
    RenyiELBO,
    Trace_ELBO,
    TraceGraph_ELBO,
    TraceMeanField_ELBO,
)
from support.paper_loop import paper_loss

from svg_pyro import SVG
from svg_pyro.errors import TrainingError
from svg_pyro.training.elbos import (
    SyncFreeMeanFieldELBO,
    SyncFreeTraceELBO,
    importance_traces,
)
from svg_pyro.training.terms import ELBOTerms

VARIANTS = [
    {},
    {"backbone": "vgg", "channels": 3},
    {"image_size": 128},
    {"skip_from": "before_context"},
    {"last_frame_skip": True},
    {"n_past": 4},
]


def double(config, **changes):
    """A model in float64 in evaluation mode, which the loop's separate calls need."""
    svg = SVG(dataclasses.replace(config, **changes)).double().eval()
    with torch.no_grad():  # away from the tiny initial weights, all parts matter
        for p in svg.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return svg


def clips(svg, batch=2, steps=6):
    c = svg.config
    return torch.rand(batch, steps, c.channels, c.image_size, c.image_size).double()


def noise_of(svg, x):
    """The standard normal draws behind a guide trace's z, and the trace."""
    trace = poutine.trace(svg.guide).get_trace(x)
    q = trace.nodes["z"]["fn"].base_dist
    return ((trace.nodes["z"]["value"] - q.loc) / q.scale).detach()


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_gradient_is_that_of_the_papers_loss(tiny, changes):
    svg = double(tiny, **changes)
    x = clips(svg)
    pyro.set_rng_seed(1)
    noise = noise_of(svg, x)
    loss = paper_loss(svg, x, noise)
    loss.backward()
    want = {n: p.grad.clone() for n, p in svg.named_parameters()}
    svg.zero_grad()
    pyro.set_rng_seed(1)
    TraceMeanField_ELBO().differentiable_loss(svg.model, svg.guide, x).backward()
    factor = len(x) / svg.config.beta
    for name, p in svg.named_parameters():
        scale = want[name].abs().max()
        assert scale > 0, name
        error = (p.grad / factor - want[name]).abs().max() / scale
        assert error < 1e-9, (name, error.item())


def test_loss_is_the_papers_up_to_its_constant(tiny):
    svg = double(tiny)
    x = clips(svg)
    pyro.set_rng_seed(1)
    noise = noise_of(svg, x)
    pyro.set_rng_seed(1)
    ours = TraceMeanField_ELBO().loss(svg.model, svg.guide, x)
    batch, steps = len(x), x.shape[1] - 1
    sigma = torch.tensor(svg.config.noise_scale).double()
    constant = batch * steps * svg.config.pixels * (2 * torch.pi * sigma**2).log() / 2
    want = paper_loss(svg, x, noise) * batch / svg.config.beta + constant
    assert ours == pytest.approx(want.item(), rel=1e-6)


@pytest.mark.slow
def test_trace_elbo_and_mean_field_elbo_have_one_mean(tiny):
    svg = double(tiny)
    x = clips(svg)
    with torch.no_grad():
        sampled = torch.tensor(
            [Trace_ELBO().loss(svg.model, svg.guide, x) for _ in range(150)]
        )
        closed = torch.tensor(
            [TraceMeanField_ELBO().loss(svg.model, svg.guide, x) for _ in range(150)]
        )
    error = (sampled.var() / 150 + closed.var() / 150).sqrt()
    assert (sampled.mean() - closed.mean()).abs() < 4 * error


def test_plates_of_a_trace(tiny):
    svg = SVG(tiny)
    trace = poutine.trace(svg.model).get_trace(torch.rand(3, 5, 1, 64, 64))

    def plates(name):
        frames = trace.nodes[name]["cond_indep_stack"]
        return {(f.name, f.dim, f.size) for f in frames}

    assert plates("z") == {("batch", -2, 3), ("time", -1, 4)}
    # x_t depends on every earlier z: a plate of its own.
    assert plates("x") == {("batch", -2, 3), ("frames", -1, 4)}
    trace.compute_log_prob()
    assert trace.nodes["z"]["log_prob"].shape == (3, 4)
    assert trace.nodes["x"]["log_prob"].shape == (3, 4)
    assert trace.nodes["x"]["fn"].event_shape == (1, 64, 64)


@pytest.mark.slow
def test_renyi_elbo_equals_importance_weights_by_hand(tiny):
    svg = double(tiny, beta=1e-2)
    x = clips(svg, batch=1)
    particles = 60
    elbo = RenyiELBO(
        alpha=0, num_particles=particles, vectorize_particles=True, max_plate_nesting=2
    )
    with torch.no_grad():
        pyro.set_rng_seed(3)
        bound = -elbo.loss(svg.model, svg.guide, x)
        pyro.set_rng_seed(3)
        # The same draws by hand: densities from the networks, without plates.
        h, _ = svg.encoder(x)
        _, state = svg.posterior(h[:, :1])
        q, _ = svg.posterior(h[:, 1:], state)
        z = q.expand((particles, *q.batch_shape)).rsample()
        prior, _ = svg.prior(h[:, :-1])
        from_paper = -_nll_by_loop(svg, x, z)
        weights = (prior.log_prob(z) - q.log_prob(z)).sum((-1, -2)) + from_paper
    want = weights.logsumexp(0) - torch.tensor(particles).log()
    assert bound == pytest.approx(want.item(), rel=1e-9)


def _nll_by_loop(svg, x, z):
    """-log p(x | z) of each particle, decoded one particle and step at a time."""
    out = []
    sigma = svg.config.noise_scale
    for latents in z:
        mean = torch.stack(
            [_mean_at(svg, x, latents, t) for t in range(2, x.shape[1] + 1)], 1
        )
        normal = torch.distributions.Normal(mean, sigma)
        out.append(-normal.log_prob(x[:, 1:]).sum())
    return torch.stack(out)


def _mean_at(svg, x, latents, t):
    from support.paper_loop import Loop, decode, skip_frame

    loop = Loop(svg.frame_predictor.recurrent, len(x))
    for s in range(2, t + 1):
        h, _ = svg.encoder(x[:, s - 2])
        out = loop.step(torch.cat([h, latents[:, s - 2]], 1))
    _, skips = svg.encoder(x[:, skip_frame(t, svg.config) - 1])
    return decode(svg.decoder, svg.frame_predictor.out(out).tanh(), skips)


@pytest.mark.parametrize(
    "elbo",
    [
        Trace_ELBO(),
        Trace_ELBO(num_particles=2),
        Trace_ELBO(num_particles=2, vectorize_particles=True, max_plate_nesting=2),
        TraceMeanField_ELBO(),
        TraceGraph_ELBO(),
        RenyiELBO(alpha=0, num_particles=2),
        RenyiELBO(
            alpha=0, num_particles=2, vectorize_particles=True, max_plate_nesting=2
        ),
    ],
    ids=lambda e: f"{type(e).__name__}-{e.num_particles}-{e.vectorize_particles}",
)
def test_encoder_runs_once_per_elbo_evaluation(tiny, elbo):
    svg = SVG(tiny)
    calls = []
    svg.encoder.register_forward_hook(lambda *a: calls.append(1))
    loops = 1 if elbo.vectorize_particles else elbo.num_particles
    svi = SVI(svg.model, svg.guide, pyro.optim.Adam({"lr": 1e-3}), elbo)
    for _ in range(2):
        calls.clear()
        svi.step(torch.rand(2, 4, 1, 64, 64))
        assert len(calls) == loops


def test_skips_are_prepared_once_for_each_distinct_skip_frame(tiny, monkeypatch):
    svg = SVG(tiny)
    prepare, frames = svg.decoder.prepare, []

    def counted(x, skips):
        frames.append(x.shape[0] * x.shape[1])
        return prepare(x, skips)

    monkeypatch.setattr(svg.decoder, "prepare", counted)
    Trace_ELBO().loss(svg.model, svg.guide, torch.rand(3, 6, 1, 64, 64))
    assert frames == [3 * tiny.n_past]
    frames.clear()
    svg.predict(torch.rand(3, 4, 1, 64, 64), horizon=5, num_samples=7)
    assert frames == [3]


def test_features_are_not_taken_from_other_frames(tiny):
    # Replaying against the trace of changed frames must encode again.
    svg = SVG(tiny).eval()
    x = torch.rand(2, 4, 1, 64, 64)
    trace = poutine.trace(svg.guide).get_trace(x)
    z = trace.nodes["z"]["value"]
    x.mul_(0.5)
    replayed = poutine.trace(poutine.replay(svg.model, trace=trace)).get_trace(x)
    fresh = poutine.trace(poutine.condition(svg.model, {"z": z})).get_trace(x)
    assert torch.equal(replayed.nodes["x"]["fn"].mean, fresh.nodes["x"]["fn"].mean)


@pytest.mark.parametrize(
    "elbo", [Trace_ELBO(), TraceMeanField_ELBO()], ids=["trace", "mean-field"]
)
def test_recorded_terms_add_up_to_the_elbo(tiny, elbo):
    svg = double(tiny)
    x = clips(svg)
    with torch.no_grad(), ELBOTerms() as terms:
        loss = elbo.loss(svg.model, svg.guide, x)
    nll, kl = terms.per_frame()
    total = (nll + kl).sum().item() * (x.shape[1] - 1)
    # Trace_ELBO samples the KL, the record has its closed form.
    spread = 1e-9 if isinstance(elbo, TraceMeanField_ELBO) else 0.05
    assert nll.shape == kl.shape == (2,)
    assert loss == pytest.approx(total, rel=spread)


@pytest.mark.parametrize("observation", ["learned-sigma", "optimal-sigma"])
def test_calibrated_sigma(tiny, observation):
    svg = double(tiny, observation=observation)
    x = clips(svg)
    trace = poutine.trace(svg.model).get_trace(x)
    normal = trace.nodes["x"]["fn"].base_dist
    if observation == "optimal-sigma":
        want = (normal.loc - x[:, 1:]).square().mean().sqrt()
        assert normal.scale.unique().item() == pytest.approx(want.item(), rel=1e-12)
        return
    before = svg.observation.log_sigma.item()
    svi = SVI(svg.model, svg.guide, pyro.optim.Adam({"lr": 1e-2}), Trace_ELBO())
    svi.step(x)
    assert svg.observation.log_sigma.item() != before


@pytest.mark.parametrize("particles", [1, 3])
@pytest.mark.parametrize(
    "sync_free, pyros",
    [
        (SyncFreeTraceELBO, Trace_ELBO),
        (SyncFreeMeanFieldELBO, TraceMeanField_ELBO),
    ],
)
def test_elbos_without_synchronisation_are_pyros(tiny, sync_free, pyros, particles):
    svg = double(tiny)
    x = clips(svg)
    losses, gradients = [], []
    for elbo in (sync_free, pyros):
        pyro.set_rng_seed(1)
        loss = elbo(num_particles=particles).differentiable_loss(
            svg.model, svg.guide, x
        )
        losses.append(loss.item())
        gradients.append(torch.autograd.grad(loss, list(svg.parameters())))
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_an_elbo_without_synchronisation_refuses_draws_without_gradients():
    def model():
        pyro.sample("k", dist.Bernoulli(0.5))

    def guide():
        pyro.sample("k", dist.Bernoulli(pyro.param("p", torch.tensor(0.4))))

    with pytest.raises(ValueError, match="site 'k' of the guide has no rsample"):
        SyncFreeTraceELBO().differentiable_loss(model, guide)


@pytest.mark.parametrize("particles", [1, 3])
def test_pyro_has_the_private_method_that_gives_an_elbos_traces(tiny, particles):
    """Where this fails, Pyro has changed: see `svg_pyro.training.elbos`."""
    svg = SVG(tiny)
    x = clips(svg).float()
    pairs = list(
        importance_traces(Trace_ELBO(particles), svg.model, svg.guide, (x,), {})
    )
    assert len(pairs) == particles
    for model_trace, guide_trace in pairs:
        assert model_trace.nodes["z"]["value"] is guide_trace.nodes["z"]["value"]
        assert model_trace.observation_nodes == ["x"]
        want = model_trace.nodes["x"]["fn"].log_prob(x[:, 1:]).sum()
        assert model_trace.nodes["x"]["log_prob_sum"].item() == pytest.approx(
            want.item()
        )


def test_without_that_method_the_error_says_what_to_do():
    with pytest.raises(TrainingError, match=r"install pyro-ppl 1.9, or"):
        next(importance_traces(object(), None, None, (), {}))


def weighed(program, scale, mask):
    """A program whose terms are scaled and masked."""
    return poutine.scale(poutine.mask(program, mask=mask), scale=scale)


def recorded(svg, elbo, scale, mask, x):
    """The loss, and the recorded nll and kl of each clip."""
    with torch.no_grad(), ELBOTerms() as terms:
        loss = elbo.loss(
            weighed(svg.model, scale, mask), weighed(svg.guide, scale, mask), x
        )
    return loss, *terms.per_frame()


@pytest.mark.parametrize(
    "elbo",
    [
        TraceMeanField_ELBO(),
        TraceMeanField_ELBO(
            num_particles=3, vectorize_particles=True, max_plate_nesting=2
        ),
    ],
    ids=["one", "three"],
)
def test_recorded_terms_are_masked_and_scaled_as_the_elbo_is(tiny, elbo):
    svg = double(tiny, norm="group")
    x = clips(svg, batch=3)
    lengths = torch.tensor([5, 3, 1])
    mask = torch.arange(5) < lengths[:, None]
    loss, nll, kl = recorded(svg, elbo, 0.25, mask, x)
    assert loss == pytest.approx(((nll + kl) * lengths).sum().item(), rel=1e-9)
    # Half of the log-density is half of the term.
    _, nll_whole, kl_whole = recorded(svg, elbo, 1.0, mask, x)
    torch.testing.assert_close(kl, kl_whole / 4, rtol=1e-9, atol=0)
    assert not torch.allclose(nll, nll_whole)


def test_recorded_terms_of_a_masked_clip_are_those_of_the_clip_cut_short(tiny):
    svg = double(tiny, norm="group")
    x = clips(svg, batch=2)
    mask = (torch.arange(5) < 3).expand(2, 5)
    _, _, masked = recorded(svg, TraceMeanField_ELBO(), 1.0, mask, x)
    whole = torch.ones(2, 3, dtype=torch.bool)
    _, _, cut = recorded(svg, TraceMeanField_ELBO(), 1.0, whole, x[:, :4])
    torch.testing.assert_close(masked, cut, rtol=1e-9, atol=0)


def test_a_clip_that_is_masked_whole_has_no_terms(tiny):
    svg = double(tiny)
    mask = torch.tensor([[True] * 5, [False] * 5])
    _, nll, kl = recorded(svg, TraceMeanField_ELBO(), 1.0, mask, clips(svg))
    assert (nll[1], kl[1]) == (0, 0) and nll[0] != 0 and kl[0] > 0


def test_with_a_mixture_as_prior_the_closed_form_bounds_the_elbo(tiny):
    svg = double(dataclasses.replace(tiny, prior="mixture"))
    x = clips(svg)
    torch.manual_seed(0)
    with torch.no_grad():
        draws = torch.stack(
            [
                SyncFreeTraceELBO().differentiable_loss(svg.model, svg.guide, x)
                - SyncFreeMeanFieldELBO().differentiable_loss(svg.model, svg.guide, x)
                for _ in range(200)
            ]
        )
    # Of a difference at other latents; four standard errors.
    assert draws.mean() < 4 * draws.std() / 200**0.5


@pytest.mark.parametrize("changes", [{"prior": "flow"}, {"guide": "flow"}])
def test_a_kl_without_a_closed_form_is_refused_and_the_other_elbo_named(tiny, changes):
    svg = SVG(dataclasses.replace(tiny, **changes))
    frames = torch.rand(2, 4, 1, 64, 64)
    with pytest.raises(TrainingError, match="train with elbo 'trace'") as caught:
        SyncFreeMeanFieldELBO().differentiable_loss(svg.model, svg.guide, frames)
    assert "\n" not in str(caught.value) and caught.value.advice == ("elbo",)
