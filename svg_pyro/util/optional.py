"""Packages that only some uses need, imported when they are used."""

import functools
import importlib
from types import ModuleType

from svg_pyro.errors import DataError


@functools.cache
def need(module: str, package: str, purpose: str) -> ModuleType:
    """A module of a package that may be missing.

    Parameters
    ----------
    module : str
        The module's full name, for example ``"sklearn.datasets"``.
    package : str
        The package's name as ``pip install`` takes it.
    purpose : str
        What it is needed for, for the message: ``"reading videos"``.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    DataError
        The package is not installed, or one that it needs itself is not.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DataError(
            f"{purpose} needs the package {package} ({error}): pip install {package}"
        ) from error
