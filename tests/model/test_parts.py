"""Parts by name and by object: what fits is used; one line names what does not."""

import dataclasses

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from torch import nn

import svg_pyro
from svg_pyro import (
    SVG,
    ConfigError,
    DataError,
    FramesError,
    LearnedPrior,
    Prior,
    SVGConfig,
    TrainingConfig,
)
from svg_pyro.data.base import ClipDataset
from svg_pyro.model import registry
from svg_pyro.model.networks import Decoder, Encoder
from svg_pyro.model.observations import Gaussian, OptimalSigma
from svg_pyro.model.parts import check_names
from svg_pyro.training.trainer import Trainer


@pytest.fixture(autouse=True)
def registry_as_it_was():
    with registry.restored():
        yield


class Drifting(Prior):
    def __init__(self, config):
        super().__init__()
        self.net = nn.Linear(config.g_dim, config.z_dim)

    def forward(self, h, state=None):
        return dist.Normal(self.net(h), 1.0).to_event(1), state


class WideEncoder(Encoder):
    """Frames of 24 by 40 pixels, grey."""

    frame_shape = 1, 24, 40

    def __init__(self, config):
        super().__init__()
        self.net = nn.Linear(24 * 40, config.g_dim)

    def forward(self, x):
        return self.net(x.flatten(-3)).tanh(), []


class WideDecoder(Decoder):
    def __init__(self, config):
        super().__init__()
        self.net = nn.Linear(config.g_dim, 24 * 40)

    def forward(self, g, prepared):
        return self.net(g).sigmoid().unflatten(-1, (1, 24, 40))


def test_a_registered_part_is_made_by_its_name(tiny):
    assert svg_pyro.register("prior", "drifting")(Drifting) is Drifting
    svg = SVG(dataclasses.replace(tiny, prior="drifting"))
    assert isinstance(svg.prior, Drifting) and svg.names["prior"] == "drifting"
    assert SVG(tiny, prior=Drifting(tiny)).names["prior"] == "Drifting"
    assert SVG(dataclasses.replace(tiny, prior="none")).names["guide"] == "none"
    svg_pyro.register("prior", "drifting")(Drifting)  # as a reloaded module does


def test_names_are_given_once(tiny):
    with pytest.raises(ConfigError, match="the name 'learned' of a prior is taken"):
        svg_pyro.register("prior", "learned")(Drifting)
    with pytest.raises(ConfigError, match="the name 'none' of a prior is taken"):
        svg_pyro.register("prior", "none")(Drifting)
    with pytest.raises(ConfigError, match="no kind of part 'priors'; choose one of"):
        svg_pyro.register("priors", "mine")


def test_names_are_taken_back():
    with registry.restored():
        svg_pyro.register("guide", "drifting")(Drifting)
        assert "drifting" in registry.names("guide")
    assert "drifting" not in registry.names("guide")
    svg_pyro.register("guide", "drifting")(Drifting)
    registry.forget("guide", "drifting")
    with pytest.raises(ConfigError, match="guide is 'drifting'; choose one of"):
        registry.forget("guide", "drifting")


@pytest.mark.parametrize(
    "changes, words",
    [
        (
            {"prior": "flwo"},
            "prior is 'flwo'; choose one of ['autoregressive', 'fixed', 'flow', "
            "'learned'",
        ),
        ({"guide": "backwards"}, "guide is 'backwards'; choose one of ['filtering'"),
        ({"observation": "poisson"}, "observation is 'poisson'; choose one of"),
        (
            {"backbone": "resnet"},
            "backbone is 'resnet'; choose one of ['dcgan', 'maps', 'vgg'",
        ),
        (
            {"image_size": 65},
            "image_size is 65; the backbone 'dcgan' can do 64 and 128",
        ),
    ],
)
def test_what_no_model_can_be_made_of(tiny, changes, words):
    config = dataclasses.replace(tiny, **changes)
    for refuse in (SVG, check_names):
        with pytest.raises(ConfigError) as error:
            refuse(config)
        assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "config, given, words",
    [
        ("bair", {}, "the configuration is 'bair'; give an SVGConfig"),
        (
            None,
            {"prior": Drifting},
            "the prior is the class Drifting; give an instance",
        ),
        (None, {"prior": "fixed"}, "SVGConfig(prior='fixed')"),
        (None, {"predictor": 3}, "the predictor is a int; give a torch.nn.Module"),
        (None, {"backbone": nn.Identity()}, "the backbone is a Identity; give a pair"),
        (
            None,
            {"backbone": (nn.Identity(), nn.Identity())},
            "the decoder Identity has no method prepare",
        ),
    ],
)
def test_objects_that_are_no_parts(tiny, config, given, words):
    with pytest.raises(ConfigError) as error:
        SVG(config or tiny, **given)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_a_guide_without_latents_is_refused(tiny):
    none = dataclasses.replace(tiny, prior="none")
    with pytest.raises(ConfigError, match='a guide was given, but the prior is "none"'):
        SVG(none, guide=SVG(tiny).posterior)
    assert SVG(none, guide=SVG(tiny).posterior, prior=Drifting(tiny)).prior is not None


@pytest.mark.parametrize("kind", ["prior", "guide"])
def test_another_z_dim_is_named(tiny, kind):
    wide = SVG(dataclasses.replace(tiny, z_dim=5))
    part = wide.prior if kind == "prior" else wide.posterior
    svg = SVG(tiny, **{kind: part})
    frames = torch.rand(1, 3, 1, 64, 64)
    words = rf"the {kind} gives latents of event shape \(5,\), the model's are \(3,\)"
    for use in (
        lambda: Trace_ELBO().loss(svg.model, svg.guide, frames),
        lambda: svg.predict(frames, 2),
    ):
        with pytest.raises(ConfigError, match=words):
            use()


def test_a_prior_that_forgets_its_state_is_named(tiny):
    class Forgetful(Drifting):
        def forward(self, h, state=None):
            return super().forward(h)[0]

    with pytest.raises(ConfigError, match=r"return a pair, \(distribution of z, state"):
        SVG(tiny, prior=Forgetful(tiny)).predict(torch.rand(1, 1, 1, 64, 64), 2)


def test_a_part_that_already_ran_can_be_put_in(tiny):
    prior = LearnedPrior(tiny)
    prior(torch.rand(1, 2, tiny.g_dim))
    svg, frames = SVG(tiny, prior=prior), torch.rand(2, 3, 1, 64, 64)
    before = prior.loc.weight.clone()
    SVI(svg.model, svg.guide, pyro.optim.Adam({"lr": 1e-2}), Trace_ELBO()).step(frames)
    assert not torch.equal(prior.loc.weight, before)


def test_own_encoder_and_decoder_of_frames_that_are_not_square(tiny):
    svg = SVG(tiny, backbone=(WideEncoder(tiny), WideDecoder(tiny)))
    assert svg.frame_shape == (1, 24, 40) and svg.names["backbone"] == "WideEncoder"
    frames = torch.rand(2, 4, 1, 24, 40)
    before = {n: p.clone() for n, p in svg.named_parameters()}
    SVI(svg.model, svg.guide, pyro.optim.Adam({"lr": 1e-2}), Trace_ELBO()).step(frames)
    assert all(not torch.equal(p, before[n]) for n, p in svg.named_parameters())
    assert svg.predict(frames, 3, 2).shape == (2, 2, 3, 1, 24, 40)
    # sigma^2 = D beta / 2 with the D of these frames.
    assert svg.observation.noise_scale == (24 * 40 * tiny.beta / 2) ** 0.5
    with pytest.raises(FramesError, match=r"the model takes \(1, 24, 40\)"):
        svg.predict(torch.rand(2, 4, 1, 64, 64), 3)


def test_a_decoder_without_the_channels_that_are_read_is_refused(tiny):
    class Hungry(Gaussian):
        extra_channels = 2

    with pytest.raises(ConfigError, match="gives 0 extra channels, the observation"):
        SVG(
            tiny,
            backbone=(WideEncoder(tiny), WideDecoder(tiny)),
            observation=Hungry(tiny, (1, 24, 40)),
        )
    svg = SVG(tiny, observation=Hungry(tiny, (1, 64, 64)))
    assert svg.decoder.out_channels == 3
    assert svg.predict(torch.rand(2, 2, 1, 64, 64), 3).shape[-3] == 1


def test_optimal_sigma_keeps_the_training_batches_errors(tiny):
    observation = OptimalSigma(tiny, (1, 64, 64))
    mean, extra = torch.full((2, 3, 1, 64, 64), 0.5), torch.empty(2, 3, 0, 64, 64)
    assert observation.needs_target
    for error in (0.1, 0.2):
        sigma = observation(mean, extra, mean + error).base_dist.scale
        assert sigma.unique().item() == pytest.approx(error, rel=1e-5)
    want = ((0.1**2 + 0.2**2) / 2) ** 0.5
    observation.eval()
    for target in (None, mean):
        sigma = observation(mean, extra, target).base_dist.scale.unique()
        assert sigma.item() == pytest.approx(want, rel=1e-5)
    assert not observation.needs_target and observation.batches == 2


def test_weights_of_checkpoints_whose_field_is_sigma_load(tiny, tmp_path):
    path = tmp_path / "model.pt"
    for sigma, observation in (
        ("learned", "learned-sigma"),
        ("optimal", "optimal-sigma"),
    ):
        svg = SVG(dataclasses.replace(tiny, observation=observation))
        svg_pyro.save(svg, path)
        content = torch.load(path, weights_only=True)
        # As version 1 wrote it.
        config, weights = content["config"], content["weights"]
        config |= {"sigma": sigma}
        for name in ("observation", "guide"):
            del config[name]
        del content["observation"]
        if sigma == "learned":
            weights["log_sigma"] = weights.pop("observation.log_sigma") + 1
        else:
            del weights["observation.squared_error"], weights["observation.batches"]
        torch.save({**content, "version": 1}, path)
        loaded = svg_pyro.load(path)
        assert loaded.config == svg.config
        if sigma == "learned":
            want = svg.observation.log_sigma + 1
            assert torch.equal(loaded.observation.log_sigma, want)
        else:
            assert loaded.observation.needs_target


def test_configurations_name_parts_and_do_not_hold_them():
    with pytest.raises(ConfigError, match="give a name, and objects to"):
        SVGConfig(prior=nn.Identity())


class Strips(ClipDataset):
    """Clips of noise, 24 by 40 pixels, or what else is asked for."""

    n_frames, channels, image_size = 4, 1, 24

    def __init__(self, width=40):
        self.width = width

    @property
    def frame_shape(self):
        return 1, 24, self.width

    def __len__(self):
        return 8

    def clip(self, index, epoch=0):
        torch.manual_seed(index)
        return torch.randint(0, 256, (4, *self.frame_shape), dtype=torch.uint8)


def test_frames_that_are_not_square_are_trained_on(tiny, tmp_path):
    svg = SVG(tiny, backbone=(WideEncoder(tiny), WideDecoder(tiny)))
    training = TrainingConfig(steps=2, batch_size=2, n_frames=4)
    assert Trainer(svg, Strips(), training, tmp_path).run()
    with pytest.raises(
        DataError, match=r"frames are \(1, 24, 64\) .*takes \(1, 24, 40\)"
    ):
        Trainer(svg, Strips(64), training, tmp_path)
    with pytest.raises(DataError, match="the data's image_size is 24, the model's 64"):
        Trainer(SVG(tiny), Strips(24), training, tmp_path)


class NextOfThis(Prior):
    """Without a state: z follows from the last frame alone."""

    def __init__(self, config):
        super().__init__()
        self.net = nn.Linear(config.g_dim, config.z_dim)

    def forward(self, h, state=None):
        return dist.Normal(self.net(h), 1.0).to_event(1), None


class OfThis(svg_pyro.Guide):
    def __init__(self, config):
        super().__init__()
        self.net = nn.Linear(config.g_dim, config.z_dim)

    def forward(self, h, state=None):
        return dist.Normal(self.net(h), 1.0).to_event(1), None


def test_parts_without_a_state_draw_for_each_sample(tiny):
    svg = SVG(tiny, prior=NextOfThis(tiny), guide=OfThis(tiny)).eval()
    frames = torch.rand(2, 3, 1, 64, 64)
    state = svg.start(frames[:, 0]).expand(5)
    # The second frame is one for all samples of the past, and of the future.
    for seen in (frames[:, 1], None):
        state = svg.step(state, seen)
        assert state.z.shape == (5, 2, 3)
        assert len(state.z.flatten(0, 1).unique(dim=0)) == 10
    futures = svg.predict(frames, 2, 5)
    assert len(futures[:, :, 0].flatten(0, 1).unique(dim=0)) == 10
    found = svg_pyro.futures_to(svg, frames, frames[:, -1], 2, 4)
    assert found.log_weights.shape == (4, 2) and found.log_weights.isfinite().all()


def test_a_guide_by_its_name_without_latents_is_refused(tiny):
    config = dataclasses.replace(tiny, prior="none", guide="flow")
    for refuse in (SVG, check_names):
        with pytest.raises(ConfigError, match="guide is 'flow' and prior 'none'"):
            refuse(config)
    # The default is no wish.
    assert SVG(dataclasses.replace(tiny, prior="none")).posterior is None
    assert SVG(config, prior=Drifting(tiny)).names["guide"] == "flow"
