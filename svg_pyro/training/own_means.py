"""Clips in which some frames are the model's own: what it will meet when it generates.

Teacher forcing shows the predictor true frames alone; in generation it meets its own
means, and errors grow. Scheduled sampling (Bengio et al. 2015) mends that. The prior
goes on seeing true frames: the guide's latents lead to the true x_t, which means that
have strayed do not foretell. (Reasoned, not measured by itself.)
Here the own means are made beforehand, without gradients, by one pass that steps
through time as generation does; the step that is differentiated sees the finished
clip, so that time stays a plate.
"""

from collections.abc import Sequence

import torch

from svg_pyro.config import TrainingConfig
from svg_pyro.model.decoding import Source, decode_next, source_of
from svg_pyro.model.features import Features, encode
from svg_pyro.model.inference import posterior_of
from svg_pyro.model.inputs import join, with_action
from svg_pyro.model.lengths import Lengths, lengths_of
from svg_pyro.model.skips import skips_of_targets
from svg_pyro.model.svg import SVG
from svg_pyro.util.modes import evaluating


def share_at(config: TrainingConfig, step: int) -> float:
    """The share of input frames that are the model's own at a step, counted from 0.

    0 before `own_means_start`, then rising linearly over `own_means_ramp` steps.

    Parameters
    ----------
    config : TrainingConfig
        Gives these, and the share at the end, `own_means`.
    step : int
        0 or more.
    """
    done = (step - config.own_means_start) / config.own_means_ramp
    return config.own_means * min(1.0, max(0.0, done))


@torch.no_grad()
def with_own_means(
    svg: SVG,
    frames: torch.Tensor,
    share: float,
    actions: torch.Tensor | None = None,
    lengths: torch.Tensor | None = None,
) -> torch.Tensor:
    """Replace a share of the frames x_3..x_{T-1} by the model's means of them.

    Each of these frames is replaced with probability `share`, independently. Its mean
    follows from the clip as it is up to there, so that replaced frames in a row are a
    chain as in generation, with latents drawn from the guide, which sees the true
    clip; networks in evaluation mode.

    Parameters
    ----------
    svg : SVG
        The model that is trained.
    frames : torch.Tensor
        Shape ``(B, T, C, H, W)``, values in [0, 1].
    share : float
        In [0, 1].
    actions : torch.Tensor, optional
        Of a model with actions, ``(B, T-1, A)``.
    lengths : torch.Tensor, optional
        Of padded clips, ``(B,)``; their padding stays as it is.

    Returns
    -------
    torch.Tensor
        As `frames`; the inputs that `SVG.model` takes.
    """
    steps = frames.shape[1]
    real = lengths_of(lengths, frames)
    own, clips = _replaced(frames, share, real)
    with evaluating(svg):
        features = encode(svg.encoder, frames, lengths=real, actions=actions)
        z = _latents(svg, features)
        skips = skips_of_targets(svg.decoder, features, svg.config)
        mixed, state = frames.clone(), None
        h = features.h.clone()
        source = source_of(svg.config, mixed[:, :1])
        for t in range(1, steps - 1):
            x = with_action(svg, h[:, t - 1 : t], features.actions_from(t - 1, t))
            if z is not None:
                x = join(x, z[:, t - 1 : t])
            g, state = svg.frame_predictor(x, state)
            rows = clips[t]
            if not len(rows):
                continue
            prepared = [s[rows, t - 1 : t] for s in skips]
            source = _begun(svg, source, mixed[:, t - 1 : t], own[:, t - 1])
            flow = None if source.flow is None else source.flow[rows]
            given = Source(source.frame[rows], flow)
            _, mean, after = decode_next(svg, g[rows], prepared, given)
            if source.flow is not None and after.flow is not None:
                source.flow[rows] = after.flow
            mixed[rows, t : t + 1] = mean
            h[rows, t : t + 1] = svg.encoder(mean)[0].to(h.dtype)
    return mixed


def _replaced(
    frames: torch.Tensor, share: float, real: Lengths | None
) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
    """Which frames are replaced, ``(B, T)``, and the clips in which, at each time.

    Drawn on the host, which has to know how many they are: it waits for no device.
    """
    own = torch.rand(frames.shape[:2], device="cpu") < share
    own[:, :2] = False
    if real is not None:
        own &= real.mask()
    clips = [column.nonzero().squeeze(1) for column in own.unbind(1)]
    index = torch.cat(clips).to(frames.device, non_blocking=True)
    there = own.to(frames.device, non_blocking=True)
    return there, index.split([len(rows) for rows in clips])


def _begun(svg: SVG, source: Source, before: torch.Tensor, own: torch.Tensor) -> Source:
    """The source of the next frames: the frames before, but in rows of own frames."""
    new = source_of(svg.config, before)
    if source.flow is None or new.flow is None:
        return new
    keep = own[:, None, None, None, None]
    return Source(
        torch.where(keep, source.frame, new.frame),
        torch.where(keep, source.flow, new.flow),
    )


def _latents(svg: SVG, features: Features) -> torch.Tensor | None:
    """z_2..z_T drawn from the guide, ``(B, T-1, z_dim)``; None without latents."""
    if svg.posterior is None:
        return None
    z: torch.Tensor = posterior_of(svg, features).sample()
    return z
