"""Progress bars of one manner."""

import os

from tqdm import tqdm


def progress(*args, **kwargs):
    """A ``tqdm`` bar that moves twice a second, or every 20 s where nobody watches."""
    interval = 0.5 if os.isatty(2) else 20
    kwargs = {"dynamic_ncols": True, "mininterval": interval, **kwargs}
    return tqdm(*args, **kwargs)
