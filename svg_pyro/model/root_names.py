"""Names of models in Pyro's parameter store."""

import itertools

from pyro.nn import PyroModule

_numbers = itertools.count(1)


def root_name():
    """A name in Pyro's parameter store that no other model of the process has."""
    return f"svg{next(_numbers)}"


def rename(root, name):
    """Give a PyroModule and all below it another root name."""
    old = root._pyro_name
    for module in root.modules():
        if isinstance(module, PyroModule):
            module._pyro_name = name + module._pyro_name[len(old) :]
