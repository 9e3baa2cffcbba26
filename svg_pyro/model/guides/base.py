"""The contract of guides."""

import torch

from svg_pyro.model.pyro_internals import Contract
from svg_pyro.model.types import Distribution, RecurrentState


class Guide(Contract):
    """q(z_t given h_{1:T}), where h are the encoder's features.

    The contract is that of `svg_pyro.model.priors.Prior`, one frame later: the
    distribution at a frame's place is that of the frame's own latent. `SVG` calls
    it with the first frame, which has no latent, to start the state, and then with
    all others::

        _, state = guide(h[..., :1, :])
        z_dist, state = guide(h[..., 1:, :], state)

    The second call sees the whole rest of the clip, so a guide may smooth (look at
    later frames) as well as filter. One that smooths says so by `smooths`; where clips
    are padded its `forward` takes ``lengths`` too, int64 ``(B,)``: how many of the
    frames of this call are real, so that it does not look into the padding.

    Attributes
    ----------
    smooths : bool
        Whether it looks at later frames.
    """

    smooths: bool = False

    def forward(
        self, h: torch.Tensor, state: RecurrentState = None
    ) -> tuple[Distribution, RecurrentState]:
        """The distributions of the latents of some frames.

        Parameters
        ----------
        h : torch.Tensor
            Features of frames t..t+n-1, shape ``(*batch, n, size)``, in [-1, 1], with
            the ``input_size`` of the configuration: g_dim, or the values of a whole
            map; of a model with actions with the one behind h_t that led to it,
            a_{t-1}, 0 for the first.
        state : optional
            What an earlier call returned, None at the first frame.

        Returns
        -------
        z_dist : pyro.distributions.Distribution
            Of z_t..z_{t+n-1}; batch shape ``(*batch, n)``, event shape ``(z_dim,)``.
            Reparametrised, if an ELBO is to be differentiated through it.
        state
            To go on from frame t+n-1.
        """
        raise NotImplementedError
