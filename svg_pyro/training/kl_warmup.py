"""A KL that counts less in the first steps: latents are found before they are cheap.

A latent that nothing uses yet costs KL and wins nothing, so that under a large beta a
training may never begin to use it; under a small one it comes to hold what no prior
can foretell. Bowman et al. (2016) and Sonderby et al. (2016) let the KL's weight rise:
the latents are found under a small one, and the last steps are the ELBO's own.
"""

import math
from typing import Any

from pyro.poutine.messenger import Messenger

from svg_pyro.config import TrainingConfig


def kl_weight_at(config: TrainingConfig, step: int) -> float:
    """The weight of the KL at a step, counted from 0.

    It rises geometrically from `kl_warmup_weight` to 1 at step `kl_warmup`.

    Parameters
    ----------
    config : TrainingConfig
        Gives both.
    step : int
        0 or more.
    """
    if step >= config.kl_warmup:
        return 1.0
    return math.pow(config.kl_warmup_weight, 1 - step / config.kl_warmup)


class WeightedLatents(Messenger):
    """Weigh the log-probability of every latent that is drawn inside.

    Around a model and its guide it weighs KL(q || p), sampled or in closed form, and
    leaves log p(x | z) as it is.

    Parameters
    ----------
    weight : float
        Above 0.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        self._weight = weight

    def _pyro_sample(self, msg: dict[str, Any]) -> None:
        # Replayed against the guide's, a latent of the model is no observation.
        if not msg["is_observed"]:
            msg["scale"] = msg["scale"] * self._weight
