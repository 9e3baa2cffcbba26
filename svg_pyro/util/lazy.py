"""Names of a package that are loaded when they are first asked for."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazily(
    package: dict[str, Any], modules: Mapping[str, str], rooms: tuple[str, ...] = ()
) -> Callable[[str], Any]:
    """A package's ``__getattr__``.

    Hide it from type checkers, to which any name is then right.

    Parameters
    ----------
    package : dict
        Its ``globals()``, in which a name that has been asked for is kept.
    modules : mapping of str to str
        Of each name the module that has it.
    rooms : tuple of str
        Packages and modules directly below it.
    """

    def get(name: str) -> Any:
        if name in rooms:
            return importlib.import_module(f"{package['__name__']}.{name}")
        if name not in modules:
            raise AttributeError(
                f"module {package['__name__']!r} has no attribute {name!r}"
            )
        value = package[name] = getattr(importlib.import_module(modules[name]), name)
        return value

    return get
