"""The paper's procedure, written from its text: the oracle of the vectorised program.

One step at a time, every frame encoded as input and again as target, LSTM cells, and
a decoder that convolves concat(d, skip). It shares weights with an `SVG`, no code.
"""

import torch
from torch.nn import functional as F


def lstm_cell(lstm, layer, x, state):
    """One step of one layer of an ``nn.LSTM``, from its weights (gates i, f, g, o)."""
    h, c = state
    gates = F.linear(x, getattr(lstm, f"weight_ih_l{layer}"))
    gates = gates + getattr(lstm, f"bias_ih_l{layer}")
    gates = gates + F.linear(h, getattr(lstm, f"weight_hh_l{layer}"))
    gates = gates + getattr(lstm, f"bias_hh_l{layer}")
    i, f, g, o = gates.chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    return h, (h, c)


class Loop:
    """An embedding and a stack of LSTM cells that keep their state, as in the paper."""

    def __init__(self, recurrent, batch):
        self.recurrent = recurrent
        zeros = recurrent.embed.weight.new_zeros(batch, recurrent.lstm.hidden_size)
        self.states = [(zeros, zeros)] * recurrent.lstm.num_layers

    def step(self, x):
        x = F.linear(x, self.recurrent.embed.weight, self.recurrent.embed.bias)
        for layer in range(len(self.states)):
            x, self.states[layer] = lstm_cell(
                self.recurrent.lstm, layer, x, self.states[layer]
            )
        return x


def gaussian(module, x):
    loc = F.linear(x, module.loc.weight, module.loc.bias)
    log_variance = F.linear(x, module.log_variance.weight, module.log_variance.bias)
    return loc, log_variance


def decode(decoder, g, skips):
    """The decoder with ordinary convolutions over concat(d, skip)."""
    d = decoder.head(decoder.as_maps(g))
    for stage, skip in zip(decoder.stages, reversed(skips), strict=True):
        if stage.join.kernel_size == (3, 3):  # VGG's
            d = F.interpolate(d, scale_factor=2)
        d = stage.rest(stage.join(torch.cat([d, skip], 1)))
    return d.sigmoid()


def skip_frame(t, config):
    """The frame (from 1) whose skips frame t takes, case by case."""
    if config.last_frame_skip or t <= config.n_past:
        return t - 1
    if config.skip_from == "context":
        return config.n_past
    return config.n_past - 1


def paper_loss(svg, x, noise):
    """Mean squared error + beta * KL, summed over frames; `noise` is (B, T-1, z)."""
    config, (batch, steps) = svg.config, x.shape[:2]
    prior = Loop(svg.prior.recurrent, batch)
    posterior = Loop(svg.posterior.recurrent, batch)
    predictor = Loop(svg.frame_predictor.recurrent, batch)
    posterior.step(svg.encoder(x[:, 0])[0])
    mse = kl = 0.0
    for t in range(2, steps + 1):
        h, _ = svg.encoder(x[:, t - 2])
        target, _ = svg.encoder(x[:, t - 1])
        loc, log_variance = gaussian(svg.posterior, posterior.step(target))
        z = loc + noise[:, t - 2] * (0.5 * log_variance).exp()
        loc_p, log_variance_p = gaussian(svg.prior, prior.step(h))
        g = svg.frame_predictor.out(predictor.step(torch.cat([h, z], 1))).tanh()
        _, skips = svg.encoder(x[:, skip_frame(t, config) - 1])
        mse = mse + F.mse_loss(decode(svg.decoder, g, skips), x[:, t - 1])
        kl = (
            kl
            + (
                0.5 * (log_variance_p - log_variance)
                + (log_variance.exp() + (loc - loc_p) ** 2) / (2 * log_variance_p.exp())
                - 0.5
            ).sum()
            / batch
        )
    return mse + config.beta * kl


def paper_generate(svg, context, latents):
    """Futures of a context, sample by sample; `latents` is (B, n-1+horizon, z)."""
    batch, seen = context.shape[:2]
    predictor = Loop(svg.frame_predictor.recurrent, batch)
    at = seen if svg.config.skip_from == "context" else max(1, seen - 1)
    _, skips = svg.encoder(context[:, at - 1])
    frame, future = context[:, 0], []
    for t in range(2, latents.shape[1] + 2):
        h, own_skips = svg.encoder(frame)
        g = predictor.step(torch.cat([h, latents[:, t - 2]], 1))
        if t <= seen:
            frame = context[:, t - 1]
            continue
        g = svg.frame_predictor.out(g).tanh()
        use = own_skips if svg.config.last_frame_skip else skips
        frame = decode(svg.decoder, g, use)
        future.append(frame)
    return torch.stack(future, 1)
