"""In which arithmetic the networks work."""

from svg_pyro.errors import ConfigError
from svg_pyro.util.words import shown

PRECISIONS = ("float32", "tf32", "bf16")


def check_precision(precision: str) -> None:
    """Raise ConfigError if a precision is not one of `PRECISIONS`."""
    if precision not in PRECISIONS:
        raise ConfigError(
            f"precision is {shown(precision)}; choose one of {list(PRECISIONS)}"
        )
