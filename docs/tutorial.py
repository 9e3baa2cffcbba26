# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     name: python3
# ---

# %% [markdown]
# # The method, step by step
#
# Stochastic video generation (SVG; Denton and Fergus, ICML 2018) in running code, from
# why it is needed to what the Pyro program adds to it. `python docs/tutorial.py` runs
# all of it; the cells are a notebook by
# `jupytext --to notebook docs/tutorial.py`. Models that are trained here are tiny, and
# trained for seconds; the others ship with the package.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from torch import nn
from torch.nn import functional as F

import svg_pyro
from svg_pyro import SVG, Sampler, SVGConfig
from svg_pyro.data import MovingMNIST, find_digits, to_float
from svg_pyro.data.digits import find_labels
from svg_pyro.data.simulated_push.dataset import simulated_clip
from svg_pyro.data.simulated_push.simulator import simulate
from svg_pyro.evaluation import frame_surprises
from svg_pyro.evaluation.paper.prior import prior_statistics
from svg_pyro.model.networks import DCGANDecoder, DCGANEncoder
from svg_pyro.planning import ActionRange, GoalImage, Planner, PlannerSettings

pyro.set_rng_seed(0)
load_digits, words = find_digits(bundled=True)  # find_digits() fetches MNIST
print(words)


def show(rows, title="", given=0):
    """Rows of frames (C, H, W) in [0, 1], with their names; given ones framed green."""
    columns = max(map(len, rows.values()))
    figure, axes = plt.subplots(
        len(rows), columns, figsize=(0.8 * columns + 1.2, 0.85 * len(rows) + 0.3)
    )
    for line, (name, frames) in zip(np.atleast_2d(axes), rows.items(), strict=True):
        for column, axis in enumerate(line):
            axis.set(xticks=[], yticks=[])
            for edge in axis.spines.values():
                edge.set(visible=column < given, color="#009e73", linewidth=2)
        for axis, frame in zip(line, frames, strict=False):
            picture = frame.detach().clamp(0, 1).movedim(0, -1).expand(-1, -1, 3)
            axis.imshow(picture)
        line[0].text(
            -0.1, 0.5, name, ha="right", va="center", transform=line[0].transAxes
        )
    figure.suptitle(title)
    plt.show()


# %% [markdown]
# ## 1. Why a deterministic predictor blurs
#
# A digit comes to the left edge. Where it goes from there is drawn at random, as in
# Stochastic Moving MNIST: 1 to 4 pixels a frame to the right, and -4 to 4 down.
# Of all single predictions $\hat x$, the one with the least expected squared error is
# the mean of what may come,
#
# $$\mathrm{arg}\min_{\hat x} \; \mathbb{E}\,\lVert x_t - \hat x \rVert^2
#   = \mathbb{E}[x_t],$$
#
# and the mean of many sharp pictures is a blurred one. No network is needed to see it.

# %%
digit = F.interpolate(load_digits("test")[3][None, None] / 255.0, size=32)[0, 0]


def after_the_bounce(frames=5):
    right, down = np.random.randint(1, 5), np.random.randint(-4, 5)
    video = torch.zeros(frames, 1, 64, 64)
    for t in range(frames):
        y = np.clip(16 + down * t, 0, 32)
        video[t, 0, y : y + 32, right * t : right * t + 32] = digit
    return video


np.random.seed(0)
futures = torch.stack([after_the_bounce() for _ in range(500)])
mean = futures.mean(0)
show(
    {"one future": futures[0], "another": futures[1], "least error": mean},
    "the best single prediction is no future at all",
)

# %% [markdown]
# The blur has less error than a sharp future has on the average: squared error rewards
# it. A model that is to give *one* of the futures must be able to draw.

# %%
blur = (futures - mean).square().mean()
sharp = (futures[:250] - futures[250:]).square().mean()
print(f"squared error: the mean {blur:.4f}, a future drawn at random {sharp:.4f}")

# %% [markdown]
# ## 2. Autoencoder and variational autoencoder
#
# An autoencoder learns a code $z$ from which a picture can be drawn again, and says
# nothing of which codes there are. A variational autoencoder is a model: it has a
# prior $p(z) = \mathcal{N}(0, I)$, a decoder $p_\theta(x \mid z)$, an inference network
# $q_\phi(z \mid x)$, and maximises a bound on $\log p(x)$,
#
# $$\mathbb{E}_{q_\phi(z|x)} \log p_\theta(x \mid z)
#   - D_{KL}\bigl(q_\phi(z \mid x) \,\Vert\, p(z)\bigr).$$
#
# As a Pyro program it is a model and a guide, which is the form of all that follows.

# %%
digits = load_digits("train").float().flatten(1) / 255


class VAE(nn.Module):
    def __init__(self, z_dim=8, width=256):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(784, width), nn.ReLU(), nn.Linear(width, 2 * z_dim)
        )
        self.decoder = nn.Sequential(
            nn.Linear(z_dim, width), nn.ReLU(), nn.Linear(width, 784), nn.Sigmoid()
        )
        self.z_dim = z_dim

    def model(self, x):
        pyro.module("vae", self)
        with pyro.plate("data", len(x)):
            prior = dist.Normal(torch.zeros(len(x), self.z_dim), 1.0)
            z = pyro.sample("z", prior.to_event(1))
            pyro.sample("x", dist.Normal(self.decoder(z), 0.3).to_event(1), obs=x)

    def guide(self, x):
        loc, log_scale = self.encoder(x).chunk(2, -1)
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(loc, log_scale.exp()).to_event(1))


vae = VAE()
svi = SVI(vae.model, vae.guide, pyro.optim.Adam({"lr": 2e-3}), Trace_ELBO())
for _ in range(1000):
    svi.step(digits[torch.randint(len(digits), (128,))])

ae = VAE()  # the same networks, without the KL and without noise on the code
adam = torch.optim.Adam(ae.parameters(), 2e-3)
for _ in range(1000):
    batch = digits[torch.randint(len(digits), (128,))]
    error = (ae.decoder(ae.encoder(batch)[:, :8]) - batch).square().mean()
    adam.zero_grad()
    error.backward()
    adam.step()

# %% [markdown]
# Two of a code's eight numbers for each digit, a colour for each class: those of the
# autoencoder lie where its training happened to leave them, and those of the
# variational one where $\mathcal{N}(0, I)$ has its mass; 86 % of that lies within the
# circle.

# %%
labels = find_labels(bundled=True)("train")
codes = {"autoencoder": ae.encoder(digits)[:, :8], "VAE": vae.encoder(digits)[:, :8]}
codes = {name: code.detach() for name, code in codes.items()}
figure, axes = plt.subplots(1, 2, figsize=(6.8, 3.4), sharex=True, sharey=True)
for axis, (name, code) in zip(axes, codes.items(), strict=True):
    axis.scatter(code[:, 0], code[:, 2], s=3, c=labels, cmap="tab10")
    axis.add_patch(plt.Circle((0, 0), 2, fill=False))
    axis.set(title=f"codes of the {name}", xlabel="$z_1$", ylabel="$z_3$")
plt.tight_layout()
plt.show()

# %% [markdown]
# So a draw from the prior decodes to something like a digit. The autoencoder has no
# distribution to draw from: draws of $\mathcal{N}(0, I)$ decode to nothing, and those
# from the box around its codes often to no digit either.

# %%
low, high = codes["autoencoder"].amin(0), codes["autoencoder"].amax(0)
noise, anywhere = torch.randn(200, 8), torch.rand(200, 8)
sampled = {
    "autoencoder, N(0, I)": ae.decoder(noise),
    "autoencoder, box": ae.decoder(low + (high - low) * anywhere),
    "VAE, N(0, I)": vae.decoder(noise),
}
show({k: v[:10].view(-1, 1, 28, 28) for k, v in sampled.items()}, "samples")
nearest = {k: torch.cdist(v, digits).amin(1).square() for k, v in sampled.items()}
print("squared error of a sample to the nearest digit of training:")
for name, error in nearest.items():
    print(f"{error.mean() / 784:.3f} {name}")

# %% [markdown]
# Walking from one digit to another, and on to a draw from $\mathcal{N}(0, I)$. Between
# two digits both ways are smooth, since decoders are. Beyond them the variational
# autoencoder still comes to digits, and the other one to where it has never been.

# %%
weights = torch.linspace(0, 1, 7)[:, None]
ways = {}
for name, net in (("autoencoder", ae), ("VAE", vae)):
    first, last = codes[name][[1, 11]]
    there = first + weights * (last - first)
    beyond = last + weights[1:] * (noise[4] - last)
    ways[name] = net.decoder(torch.cat([there, beyond]))
show({k: v.view(-1, 1, 28, 28) for k, v in ways.items()}, "a digit, another, a draw")

# %% [markdown]
# ## 3. The deterministic predictor, and its skip connections
#
# Take the latents away, and what is left of SVG is an encoder, an LSTM and a decoder:
#
# $$h_t = \mathrm{Enc}(x_t), \qquad g_t = \mathrm{LSTM}(h_{1:t-1}), \qquad
#   \hat x_t = \mathrm{Dec}(g_t, \text{skips}).$$
#
# The skip connections hand the decoder the encoder's maps of the last frame of the
# context, so that a background that stands still need not pass through the vector
# $g_t$. Two predictors after equal, very short training: one whose encoder hands on its
# maps, and one whose encoder hands on zeros. (A part of one's own is given to `SVG` as
# an object.)


# %%
class NoSkips(DCGANEncoder):
    def forward(self, x):
        h, skips = super().forward(x)
        return h, [torch.zeros_like(skip) for skip in skips]


def fit(svg, clips, steps):
    adam = pyro.optim.Adam({"lr": 2e-3})
    svi = SVI(svg.model, svg.guide, adam, Trace_ELBO())
    for _ in range(steps):
        svi.step(clips[torch.randint(len(clips), (4,))])
    return svg


pushes = np.stack([simulated_clip(i, 8, split="train") for i in range(12)])
pushes = to_float(torch.from_numpy(pushes).permute(0, 1, 4, 2, 3))
held_out = torch.from_numpy(simulated_clip(0, 8)).permute(0, 3, 1, 2)
held_out = to_float(held_out)

config = SVGConfig(width=8, g_dim=64, rnn_size=64, n_past=2, prior="none")
rows_of_predictors = {"truth": held_out}
for name, encoder in (("skips", DCGANEncoder), ("no skips", NoSkips)):
    backbone = encoder(config), DCGANDecoder(config)
    predictor = fit(SVG(config, backbone=backbone), pushes, 150)
    future = predictor.predict(held_out[None, :2], horizon=6)[0, 0]
    rows_of_predictors[name] = torch.cat([held_out[:2], future])
show(rows_of_predictors, "two frames are given; the scene was not in training", given=2)

# %% [markdown]
# ## 4. Latents in time, and what keeps them from copying
#
# Each frame gets a latent $z_t$, which carries what the frames before could not say:
#
# $$g_t = \mathrm{LSTM}(h_{1:t-1}, z_{2:t}), \qquad
#   x_t \sim \mathcal{N}(\mathrm{Dec}(g_t, \text{skips}), \sigma).$$
#
# In training it is drawn from the inference network $q_\phi(z_t \mid x_{1:t})$, which
# *sees* $x_t$. It could copy the frame into $z_t$; that it does not is the doing of
# the KL in the bound,
#
# $$\sum_t \mathbb{E}_{q} \log p_\theta(x_t \mid x_{1:t-1}, z_{2:t})
#   - D_{KL}\bigl(q_\phi(z_t \mid x_{1:t}) \,\Vert\, p(z_t)\bigr).$$
#
# Every nat that $z_t$ says of $x_t$ beyond the prior is paid for. In the model that
# ships, trained on one moving digit, it pays most where a digit has bounced: the rest
# can be seen in the frames before.

# %%
svg = svg_pyro.load("smmnist-1").eval()
moving = MovingMNIST(load_digits("test"), "test", 30, num_digits=1)
one = moving.clip_with_bounces(2)
frames = to_float(one["frames"])[None]
after_bounce = one["bounces"].any(-1).nonzero()[:, 0] + 2  # counted from 1

with torch.no_grad():
    h, _ = svg.encoder(frames)
    q, _ = svg.posterior(h)
    q = dist.Normal(q.mean[:, 1:], q.stddev[:, 1:])  # of frames 2..T
    p, _ = svg.prior(h[:, :-1])
    learned = torch.distributions.kl_divergence(q, dist.Normal(p.mean, p.stddev))
    fixed = torch.distributions.kl_divergence(
        q, dist.Normal(torch.zeros_like(q.mean), torch.ones_like(q.mean))
    )


def draw_over_time(curves, label, marks=after_bounce, words="after a bounce"):
    _, axis = plt.subplots(figsize=(6.8, 2.2))
    for name, values in curves.items():
        axis.plot(range(2, len(values) + 2), values, label=name)
    for i, t in enumerate(marks.tolist()):
        axis.axvline(t, color="0.6", lw=0.8, ls="--", label=None if i else words)
    axis.set(xlabel="frame", ylabel=label)
    axis.legend(fontsize=7, loc="lower right", bbox_to_anchor=(1, 1), ncols=3)
    plt.show()


draw_over_time({"KL to the learned prior": learned.sum(-1)[0]}, "nats")
show(
    {"truth": frames[0, 1::3], "posterior": svg.reconstruct(frames)[0, ::3]},
    "what z carries is enough to draw each frame",
)

# %% [markdown]
# Had $z_t$ copied the frame, the latents of one clip would draw its digit wherever they
# are used. They do not. After five frames of another clip, with the latents of this
# one, the other digit stays what it is, and is soon where this one is, to a pixel:
# where it goes is what the frames before could not say, and what $z_t$ holds.

# %%
second = to_float(moving.clip(5))[None]
with torch.no_grad():
    state = svg.start(second[:, 0])
    for t in range(1, 5):
        state = svg.step(state, second[:, t])
    mixed = [state.frame]
    for t in range(5, 30):
        state = svg.step(state, z=q.mean[:, t - 1])
        mixed.append(state.frame)
rows = {
    "this clip": frames[0, 4::3],
    "another": second[0, 4::3],
    "mixed": torch.cat(mixed)[::3],
}
show(rows, "the latents of one clip move the digit of another", given=1)

# %% [markdown]
# ## 5. The fixed prior
#
# SVG-FP takes $p(z_t) = \mathcal{N}(0, I)$ for all frames: it asks the same of a frame
# that nobody could foresee and of one that anybody could. What that would cost the
# posterior of this model, beside its own prior. (A model that is trained with it,
# `SVGConfig(prior="fixed")`, brings its latents nearer to $\mathcal{N}(0, I)$; its
# prior still cannot tell one time from another.)

# %%
draw_over_time(
    {"KL to N(0, I)": fixed.sum(-1)[0], "KL to the learned prior": learned.sum(-1)[0]},
    "nats",
)
means = [kl.sum(-1).mean() for kl in (fixed, learned)]
print("nats a frame: fixed {:.1f}, learned {:.1f}".format(*means))

# %% [markdown]
# ## 6. The learned prior: a model of its own uncertainty
#
# SVG-LP learns $p_\psi(z_t \mid x_{1:t-1}) = \mathcal{N}(\mu_\psi, \sigma_\psi)$ by an
# LSTM over the frames *before* $x_t$. It cannot know where the digit will go after a
# bounce; it can know that a bounce is due, and says so by its $\sigma$. Forty digits
# that all move alike (the paper's figure 6):

# %%
alike = MovingMNIST(
    load_digits("test"), "test", 40, num_digits=1, synchronised=True, seed=1
)
clips = torch.stack([alike.clip(i) for i in range(40)])
marks = alike.clip_with_bounces(0)["bounces"][:-1].any(-1).nonzero()[:, 0] + 2
scale = prior_statistics(svg, clips).scale
draw_over_time({"mean over 40 clips": scale.mean(0)}, "prior's $\\sigma$", marks)
quiet = torch.ones(scale.shape[1], dtype=torch.bool)
quiet[marks - 2] = False
means = scale[:, ~quiet].mean(), scale[:, quiet].mean()
print("sigma after a bounce {:.2f}, else {:.2f}".format(*means))

# %% [markdown]
# ## 7. Generation
#
# Draw $z_t \sim p_\psi(z_t \mid \hat x_{1:t-1})$, decode
# $\hat x_t = \mathrm{Dec}(g_t, \text{skips})$, and take $\hat x_t$ for the next input.
# Every draw is a future of its own.

# %%
context = frames[:, :5]
samples = svg.predict(context, horizon=20, num_samples=4)[:, 0]
rows = {"truth": frames[0, 4:25:2]}
for i, sample in enumerate(samples, 1):
    rows[f"sample {i}"] = torch.cat([context[0], sample])[4::2]
show(rows, "the last frame of the context, and every second one after it", given=1)

# %% [markdown]
# ## 8. What the program adds
#
# `svg.model` and `svg.guide` are Pyro programs. While frames are observed, the latents
# of all times depend on observed frames only: time is a plate, and a batch of clips is
# scored without a loop. Pyro shows the sites, their plates and their shapes:

# %%
trace = pyro.poutine.trace(svg.model).get_trace(frames)
for name in ("z", "x"):
    site = trace.nodes[name]
    plates = [plate.name for plate in site["cond_indep_stack"]]
    print(name, "in plates", plates, "of shape", tuple(site["value"].shape))

# %% [markdown]
# **Parts are swapped by name, or given as objects.** The same clips, the same seed and
# another prior or observation model; none of these is trained, so the figures only
# show that each is a model of its own:

# %%
small = dict(channels=1, width=4, g_dim=16, z_dim=4, rnn_size=16, n_past=2)
few = frames[:, :6]
for change in (
    {"prior": "learned"},
    {"prior": "mixture"},
    {"prior": "two-scale"},
    {"guide": "smoothing"},
    {"observation": "laplace"},
    {"observation": "logistic"},
):
    pyro.set_rng_seed(0)
    other = SVG(SVGConfig(**small, **change))
    loss = Trace_ELBO().loss(other.model, other.guide, few)
    print(f"{change}: {loss / 5:.1f} nats a frame")

# %% [markdown]
# **Surprise.** The bound on $-\log p(x_t \mid x_{1:t-1})$, frame by frame as a video
# comes, less its mean over the three frames before. We let a digit jump in frame 16,
# which no digit does:

# %%
jumping = frames.clone()
jumping[:, 15:] = jumping[:, 15:].roll(20, -1)
scores = list(frame_surprises(svg, jumping.unbind(1)))
draw_over_time(
    {"relative surprise": [score.relative_surprise.item() for score in scores]},
    "nats",
    torch.tensor([16]),
    "the jump",
)

# %% [markdown]
# **Actions.** Where it is known what a robot was told, the prior, the inference network
# and the predictor see it: $p_\psi(z_t \mid x_{1:t-1}, a_{1:t-1})$. Then a future is
# what a plan leads to. One clip of simulated pushing that the shipped model
# `push-actions` has not seen, under its own actions, and under the same strokes the
# other way:

# %%
acting = svg_pyro.load("push-actions").eval()
seed = [0, 1, 4]  # as `simulated_clip(4)`: data seed 0, test, clip 4
actions = torch.from_numpy(simulate(seed).actions)
pushing = to_float(torch.from_numpy(simulated_clip(4)).permute(0, 3, 1, 2))
given = pushing[None, :2]
own = actions[None, :11]
other = own.clone()
other[:, 1:, :2] = -other[:, 1:, :2]
led = {
    name: acting.predict(given, horizon=10, num_samples=1, actions=plan, seed=0)[0, 0]
    for name, plan in (("its actions", own), ("the opposite", other))
}
truth_led = pushing[2:12]
show({"truth": truth_led, **led}, "ten frames after the two that are given")
errors = {name: (future - truth_led).square().mean() for name, future in led.items()}
print({name: f"{error:.4f}" for name, error in errors.items()})

# %% [markdown]
# **Planning** is search over such futures: draw action sequences, cost what the model
# predicts, draw better ones. The goal is the clip's own sixth frame after the context;
# the planner does not see the actions that led there.

# %%
goal = pushing[7]
planner = Planner(
    Sampler(acting),
    ActionRange((-0.08, -0.08, 0, 0), (0.08, 0.08, 0, 0)),
    PlannerSettings(budget=720, horizon=6, num_samples=2, rounds=2),
)
past = actions[:1]
plan = planner.plan(given, GoalImage(goal), past=past)
still = (given[0, -1] - goal).square().mean()
print(f"cost of the plan {plan.cost:.4f}, of standing still {still:.4f}")
ahead = torch.cat([past, plan.actions])[None]
reached = acting.predict(given, horizon=6, actions=ahead, seed=0)[0, 0]
show({"the plan": reached, "the goal": goal[None].expand(6, -1, -1, -1)})
