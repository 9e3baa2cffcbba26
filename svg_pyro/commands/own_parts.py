"""Parts of one's own, from a file that the command line names."""

import importlib.machinery
import importlib.util
import sys
import traceback
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from svg_pyro.commands.fields import option
from svg_pyro.commands.parser import Flags, Parser
from svg_pyro.errors import ConfigError, SVGError
from svg_pyro.model.registry import KINDS, names, registered

_ADVICE = ("parts",)

Options = TypeVar("Options")


@dataclass(frozen=True)
class PartsOptions:
    """Parts that do not come with the package.

    Attributes
    ----------
    parts : tuple of str or None
        Python file that registers priors, guides, observation models or backbones
        (svg_pyro.register), which are then chosen by their names; may be given again.
        The file is run: give one that you trust.
    """

    parts: tuple[str, ...] | None = option(None, metavar="FILE", kind="append")


def add_parts(parser: Parser) -> None:
    """Add the flag that names files of parts."""
    parser.add_fields(PartsOptions, title="parts")


def use_parts(flags: Flags) -> None:
    """Run the files of parts that the flags name, and say what they register.

    Parameters
    ----------
    flags : Flags
        Of a parser with `add_parts`.

    Raises
    ------
    ConfigError
        As `register_from`.
    """
    for path in flags.make(PartsOptions).parts or ():
        entered = register_from(path)
        print(f"parts of {path}: {', '.join(entered)}")


def parsed(
    options: type[Options],
    description: str,
    argv: Sequence[str] | None = None,
    *,
    prog: str | None = None,
) -> Options:
    """The options of a command that takes parts, once it has run their files.

    Parameters
    ----------
    options : type
        Dataclass of the command's flags.
    description : str
        Head of its help.
    argv : sequence of str, optional
        Flags; `sys.argv` where they are not given.
    prog : str, optional
        The command's name in its help.

    Raises
    ------
    ConfigError
        As `register_from`; or a value is out of range.
    """
    return parsed_flags(options, description, argv, prog=prog).make(options)


def parsed_flags(
    options: type[Any],
    description: str,
    argv: Sequence[str] | None = None,
    *,
    prog: str | None = None,
) -> Flags:
    """The flags of `parsed`, for options that depend on which of them were given.

    Parameters and errors are those of `parsed`.
    """
    parser = Parser(description, prog=prog)
    parser.add_fields(options)
    add_parts(parser)
    flags = parser.parse(argv)
    flags.make(options)  # a value out of range is said before a file is run
    use_parts(flags)
    return flags


def register_from(path: str | Path) -> Sequence[str]:
    """Run a Python file that registers parts.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    list of str
        What it registered, each as a kind and a name: "prior 'mine'".

    Raises
    ------
    ConfigError
        When there is no such file, it cannot be run, or it registers no part.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(
            f"no file of parts {path}; give a Python file", advice=_ADVICE
        )
    before = _parts()
    _run(path)
    entered = [
        f"{kind} {name!r}"
        for (kind, name), factory in _parts().items()
        if before.get((kind, name)) is not factory
    ]
    if not entered:
        raise ConfigError(
            f"{path} registers no part; write @svg_pyro.register(kind, name) above a "
            f"class of it, kind one of {list(KINDS)}",
            advice=_ADVICE,
        )
    return entered


def _parts() -> dict[tuple[str, str], Any]:
    return {
        (kind, name): registered(kind, name) for kind in KINDS for name in names(kind)
    }


def _run(path: Path) -> None:
    # The path is in the name, so that two files of one name are two modules.
    number = zlib.crc32(str(path.resolve()).encode())
    name = f"svg_pyro_parts_{number:08x}"
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None  # a loader was given
    module: ModuleType = importlib.util.module_from_spec(spec)
    # Dataclasses and pickles of the file look for it there.
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except SVGError as error:
        raise ConfigError(f"{path}: {error}", advice=_ADVICE) from error
    # A user's file can fail in any way, and may be a program that ends itself.
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"{path} cannot be run: {_where(error, path)}{type(error).__name__}: "
            f"{error}",
            advice=_ADVICE,
        ) from error


def _where(error: BaseException, path: Path) -> str:
    """The line of the file in which it failed, where that is known."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f"line {lines[-1]}: " if lines else ""
