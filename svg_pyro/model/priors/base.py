"""The contract of priors."""

import torch

from svg_pyro.model.pyro_internals import Contract
from svg_pyro.model.types import Distribution, RecurrentState


class Prior(Contract):
    """p(z_{t+1} given h_{1:t}), where h are the encoder's features.

    The whole contract is `forward`, for sequences (training: all steps at once)
    and for single steps (generation: sequences of length 1) alike::

        z_dist, state = prior(h, state)

    A user's own prior is any ``torch.nn.Module`` that keeps it, given to
    ``SVG(config, prior=...)``.

    Examples
    --------
    >>> class MarkovPrior(Prior):
    ...     def __init__(self, config):
    ...         super().__init__()
    ...         self.net = torch.nn.Linear(config.input_size, config.z_dim)
    ...
    ...     def forward(self, h, state=None):
    ...         return dist.Normal(self.net(h), 1.0).to_event(1), None
    >>> config = svg_pyro.SVGConfig(channels=1, width=4, g_dim=8, z_dim=3)
    >>> svg_pyro.SVG(config, prior=MarkovPrior(config)).names["prior"]
    'MarkovPrior'
    """

    def forward(
        self, h: torch.Tensor, state: RecurrentState = None
    ) -> tuple[Distribution, RecurrentState]:
        """The distributions of the latents that follow each of some frames.

        Parameters
        ----------
        h : torch.Tensor
            Features of frames t..t+n-1, shape ``(*batch, n, size)``, in [-1, 1], with
            the ``input_size`` of the configuration: g_dim, or the values of a whole
            map; of a model with actions, which are not bounded, those behind them.
        state : optional
            What an earlier call returned, None at the first frame. Any nesting of
            tensors; those of leading shape ``batch`` may come back indexed or be
            met by an `h` with further leading dimensions (samples).

        Returns
        -------
        z_dist : pyro.distributions.Distribution
            Of z_{t+1}..z_{t+n}; batch shape ``(*batch, n)``, event shape ``(z_dim,)``.
        state
            To go on from frame t+n-1.
        """
        raise NotImplementedError
