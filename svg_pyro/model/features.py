"""Encoder features, computed once for the guide and the model that is replayed against it.

Both need them. The guide leaves them in its own trace (in the ``infer`` of its site
z); a model that an ELBO replays against that trace finds them there. They live and
die with the trace, so that they can be neither stale nor leaked, and any Pyro ELBO
works unchanged. Where there is no such trace, they are simply computed.
"""

from dataclasses import dataclass, field

import torch
from pyro.poutine.replay_messenger import ReplayMessenger
from pyro.poutine.runtime import _PYRO_STACK

KEY = "svg_features"


def _version(frames):
    return None if frames.is_inference() else frames._version


@dataclass(frozen=True, eq=False)
class Features:
    """What the encoder says of a batch of clips.

    Attributes
    ----------
    frames : torch.Tensor
        Shape ``(B, T, C, H, W)``.
    h : torch.Tensor
        Features, shape ``(B, T, g_dim)``.
    skips : list of torch.Tensor
        Feature maps from fine to coarse, each ``(B, T, channels, h, w)``.
    networks : SVG or Networks
        Whose encoder computed them, and whose decoder is to go on from them.
    shared : dict or None
        What `once` keeps, for features of which many samples are drawn.
    """

    frames: torch.Tensor
    h: torch.Tensor
    skips: list
    networks: object
    shared: dict | None = None
    version: int = field(init=False)
    training: bool = field(init=False)
    grad: bool = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "version", _version(self.frames))
        object.__setattr__(self, "training", self.networks.encoder.training)
        object.__setattr__(self, "grad", torch.is_grad_enabled())

    def are_of(self, frames, networks):
        """Whether encoding `frames` with `networks` now would give the same."""
        return (
            self.frames is frames
            and self.networks.encoder is networks.encoder
            and self.version == _version(frames)
            and self.training == networks.encoder.training
            and self.grad == torch.is_grad_enabled()
        )

    def once(self, name, make):
        """``make()``; of shared features that of the first call, for all samples."""
        if self.shared is None:
            return make()
        if name not in self.shared:
            self.shared[name] = make()
        return self.shared[name]


def encode(networks, frames, shared=False):
    """`Features` of a batch of clips: one encoder call for all frames.

    With `shared`, all that follows from them is computed once as well: only for
    weights that do not change meanwhile.
    """
    h, skips = networks.encoder(frames)
    return Features(frames, h, skips, networks, {} if shared else None)


def replayed(networks, frames):
    """The features left by the guide whose trace is being replayed, or None."""
    # Pyro has no public way to ask which trace is being replayed.
    for handler in reversed(_PYRO_STACK):
        if isinstance(handler, ReplayMessenger) and handler.trace is not None:
            for node in handler.trace.nodes.values():
                found = (node.get("infer") or {}).get(KEY)
                if found is not None and found.are_of(frames, networks):
                    return found
    return None
