"""Names of types that Pyro does not declare, or that a part alone knows."""

from typing import Any, TypeAlias

# A `pyro.distributions.Distribution`.
Distribution: TypeAlias = Any

# What a recurrent part hands itself from one call to the next: any nesting of tensors
# with leading dimensions ``*batch``; None at the first frame.
RecurrentState: TypeAlias = Any

# A `pyro.poutine.Trace`.
Trace: TypeAlias = Any

# A part of a model, of which only its contract is known.
Part: TypeAlias = Any
