"""The first code's rules (github.com/edenton/svg), restated in plain PyTorch.

One call of the encoder and of the decoder for each time, on the clips' frames of that
time alone, networks in the mode they are in. It shares weights with an `SVG`, no code.
Frames are counted from 1 and n is `n_past`.
"""

import torch
from support.paper_loop import Loop, decode, gaussian
from torch.nn import functional as F


def _gaussian_kl(loc, log_variance, loc_p, log_variance_p):
    ratio = (log_variance.exp() + (loc - loc_p) ** 2) / log_variance_p.exp()
    return 0.5 * (log_variance_p - log_variance + ratio - 1).sum() / len(loc)


def _predicted(svg, predictor, h, z):
    return svg.frame_predictor.out(predictor.step(torch.cat([h, z], 1))).tanh()


def loss(svg, x, noise):
    """train(): mse + beta * kl, summed over t = 2..T; `noise` is (B, T-1, z).

    The posterior never sees h_1. SVG-LP encodes x_{t-1} and x_t at each t, SVG-FP (no
    weights in its prior) all frames once, beforehand.
    """
    batch, steps = x.shape[:2]
    fixed = svg.config.prior == "fixed"
    posterior = Loop(svg.posterior.recurrent, batch)
    predictor = Loop(svg.frame_predictor.recurrent, batch)
    prior = None if fixed else Loop(svg.prior.recurrent, batch)
    encoded = [svg.encoder(x[:, t]) for t in range(steps)] if fixed else None
    mse = kl = 0.0
    for i in range(1, steps):  # the first code counts from 0
        h = encoded[i - 1] if fixed else svg.encoder(x[:, i - 1])
        target = encoded[i][0] if fixed else svg.encoder(x[:, i])[0]
        h, own_skip = h
        if svg.config.last_frame_skip or i < svg.config.n_past:
            skip = own_skip
        loc, log_variance = gaussian(svg.posterior, posterior.step(target))
        z = loc + noise[:, i - 1] * (0.5 * log_variance).exp()
        zeros = torch.zeros_like(loc)
        loc_p, log_variance_p = zeros, zeros
        if not fixed:
            loc_p, log_variance_p = gaussian(svg.prior, prior.step(h))
        g = _predicted(svg, predictor, h, z)
        mse = mse + F.mse_loss(decode(svg.decoder, g, skip), x[:, i])
        kl = kl + _gaussian_kl(loc, log_variance, loc_p, log_variance_p)
    return mse + svg.config.beta * kl, kl


def posterior_means(svg, x):
    """Means of q(z_t), t = 2..T, from a zero state at h_2."""
    posterior, means = Loop(svg.posterior.recurrent, len(x)), []
    for i in range(1, x.shape[1]):
        means.append(
            gaussian(svg.posterior, posterior.step(svg.encoder(x[:, i])[0]))[0]
        )
    return torch.stack(means, 1)


def generate(svg, x, n, latents):
    """make_gifs(): frames 2..T from the first n, fed back; `latents` (B, T-1, z).

    The rows "approx. posterior" have the posterior's means as latents, the samples
    draws. Frames 2..n are the given ones.
    """
    predictor, rows, frame = Loop(svg.frame_predictor.recurrent, len(x)), [], x[:, 0]
    for i in range(1, latents.shape[1] + 1):
        h, own_skip = svg.encoder(frame)
        if svg.config.last_frame_skip or i < n:
            skip = own_skip
        g = _predicted(svg, predictor, h, latents[:, i - 1])
        frame = x[:, i] if i < n else decode(svg.decoder, g, skip)
        rows.append(frame)
    return torch.stack(rows, 1)
