"""Parts of a model by name: priors, guides, observation models, backbones."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from svg_pyro.errors import ConfigError

Factory = TypeVar("Factory", bound=Callable[..., Any])

KINDS = ("prior", "guide", "observation", "backbone")

_factories: dict[str, dict[str, Callable[..., Any]]] = {kind: {} for kind in KINDS}


def register(kind: str, name: str) -> Callable[[Factory], Factory]:
    """Give a part a name, by which `SVGConfig` and the programs' flags choose it.

    ::

        @svg_pyro.register("prior", "markov")
        class MarkovPrior(svg_pyro.Prior): ...

        SVG(SVGConfig(prior="markov"))

    Parameters
    ----------
    kind : str
        What the part is, and so how it is made. "prior" and "guide": called with the
        `SVGConfig`. "observation": with the configuration and the shape ``(C, H, W)``
        of a frame. "backbone": with the configuration and the number of extra
        channels that the observation model reads, and gives an encoder and a decoder;
        an attribute `sizes`, where there is one, lists the image sizes it can do.
    name : str
        Its name, not yet taken by another part of the kind.

    Returns
    -------
    callable
        A decorator of the class or function that makes the part; it gives it back.

    Raises
    ------
    ConfigError
        When the kind is not one of `KINDS`; from the decorator, when another part has
        the name.
    """
    if kind not in _factories:
        raise ConfigError(f"no kind of part {kind!r}; choose one of {list(KINDS)}")

    def enter(factory: Factory) -> Factory:
        taken = _factories[kind].get(name)
        # The same source may be run twice, as by reloading a module.
        if (kind == "prior" and name == "none") or (
            taken is not None and _origin(taken) != _origin(factory)
        ):
            raise ConfigError(
                f"the name {name!r} of a {kind} is taken; register yours under another"
            )
        _factories[kind][name] = factory
        return factory

    return enter


def registered(kind: str, name: str) -> Callable[..., Any]:
    """The class or function that was registered.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    name : str
        As given to `register`.

    Raises
    ------
    ConfigError
        When no part of the kind has the name; the message lists those there are.
    """
    try:
        return _factories[kind][name]
    except KeyError:
        known = [*_factories[kind], *(["none"] if kind == "prior" else [])]
        raise ConfigError(
            f"{kind} is {name!r}; choose one of {known}, or register yours first",
            advice=("parts",),
        ) from None


def names(kind: str) -> list[str]:
    """The registered names of a kind, in the order in which they were registered."""
    return list(_factories[kind])


def forget(kind: str, name: str) -> None:
    """Take a name back, so that another part can have it.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    name : str
        As given to `register`.

    Raises
    ------
    ConfigError
        When no part of the kind has the name.
    """
    registered(kind, name)
    del _factories[kind][name]


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """A context after which the names are again those that there were before."""
    before = {kind: dict(parts) for kind, parts in _factories.items()}
    try:
        yield
    finally:
        _factories.update(before)


def _origin(factory: Callable[..., Any]) -> tuple[str | None, str | None]:
    return getattr(factory, "__module__", None), getattr(factory, "__qualname__", None)
