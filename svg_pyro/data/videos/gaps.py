"""Places in a video at which something is missing."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gap:
    """A place at which frames could not be read.

    Attributes
    ----------
    start : int
        Frames that were read before it: what comes after is no continuation of them.
    reason : str
        Why, on one line.
    """

    start: int
    reason: str
