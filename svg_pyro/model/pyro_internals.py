"""Pyro's private names, each behind one function.

Pyro has no public way to ask which trace is being replayed, to give a module another
root name, or to make a module that ran by itself a part of another one. Where a later
Pyro lacks a private name, the functions do without: features are encoded twice.
"""

import itertools
from collections.abc import Iterator
from typing import Any

from pyro.nn import PyroModule
from pyro.poutine import Trace, runtime
from pyro.poutine.condition_messenger import ConditionMessenger
from pyro.poutine.replay_messenger import ReplayMessenger
from torch import nn

_numbers = itertools.count(1)


class Contract(PyroModule):
    """A PyroModule whose frozen weights stay frozen.

    Pyro's parameter store trains every weight that is a direct attribute of a
    PyroModule, one whose `requires_grad` is False among them (pyro issue 3438).
    """

    def __getattr__(self, name: str) -> Any:
        weight = self.__dict__.get("_parameters", {}).get(name)
        if weight is not None and not weight.requires_grad:
            return weight
        return super().__getattr__(name)


def replayed_traces() -> Iterator[Trace]:
    """The traces against which a program is being replayed, the innermost first."""
    for handler in reversed(getattr(runtime, "_PYRO_STACK", [])):
        if isinstance(handler, ReplayMessenger) and handler.trace is not None:
            yield handler.trace


def conditioned_sites() -> Iterator[str]:
    """Names of the sites whose values `pyro.poutine.condition` gives."""
    for handler in getattr(runtime, "_PYRO_STACK", []):
        if isinstance(handler, ConditionMessenger):
            data = handler.data
            yield from data.nodes if isinstance(data, Trace) else data


def root_name() -> str:
    """A name in Pyro's parameter store that no other model of the process has."""
    return f"svg{next(_numbers)}"


def rename(root: PyroModule, name: str) -> None:
    """Give a PyroModule and all below it another root name."""
    old = getattr(root, "_pyro_name", "")
    for module in root.modules():
        if isinstance(module, PyroModule) and hasattr(module, "_pyro_name"):
            module._pyro_name = name + module._pyro_name[len(old) :]


def released(part: nn.Module) -> nn.Module:
    """A module, such that it can become a part of another one after it has run.

    A PyroModule that has run has told the store its names, and refuses others.
    """
    for module in part.modules():
        context = getattr(module, "_pyro_context", None)
        if context is not None and not context.active:
            context.used = False
    return part
