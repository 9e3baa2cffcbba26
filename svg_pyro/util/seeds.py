"""Seeds made of several numbers."""

import numpy as np


def seed_of(*numbers: int) -> int:
    """A seed of 64 bits that is a function of whole numbers of 0 or more.

    Tuples that differ, if only in order, give unrelated seeds (NumPy's `SeedSequence`).
    """
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])
