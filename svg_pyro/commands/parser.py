"""A command line out of typed dataclasses: flags, help, a YAML file.

Every field of a class that is handed to `Parser.add_fields` becomes a flag; what the
class's docstring says of the field is its help. `Parser.parse` gives `Flags`, which
knows the flags that were given from those that were not.
"""

import argparse
import dataclasses
import difflib
import math
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from svg_pyro.commands.endings import leave
from svg_pyro.commands.fields import Field, fields_of, flag_of
from svg_pyro.errors import ConfigError
from svg_pyro.util.words import one_line, shown

_T = TypeVar("_T")
# More than anything is counted to here; beyond it sums of bytes no longer fit.
_LARGEST = 10**15


class Flags:
    """The flags that were given, by the names of the fields they stand for.

    Parameters
    ----------
    values : mapping of str to Any
        Values of the command line, and of its ``--config`` file.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def given(self, cls: type) -> dict[str, Any]:
        """The fields of a dataclass that were given, and their values."""
        names = [field.name for field in dataclasses.fields(cls)]
        return {name: self._values[name] for name in names if name in self._values}

    def make(self, cls: type[_T], **others: object) -> _T:
        """An instance of a dataclass, with the flags that were given put in.

        Parameters
        ----------
        cls : type
            The dataclass; fields that were not given keep its defaults.
        **others
            Fields that are set whatever was given.

        Raises
        ------
        ConfigError
            If a number is below the least, or above the greatest, that its field allows
            (see `svg_pyro.commands.fields.option`).
        """
        made = cls(**{**self.given(cls), **others})
        for field in fields_of(cls):
            values = getattr(made, field.name)
            for value in values if isinstance(values, tuple) else (values,):
                field.check_bounds(value)
        return made


class _WholeNames(argparse.RawDescriptionHelpFormatter):
    """Help whose lines do not break within names and addresses, which are copied."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(
            " ".join(text.split()),
            width,
            break_on_hyphens=False,
            break_long_words=False,
        )


class Parser(argparse.ArgumentParser):
    """A parser of flags that stand for the fields of dataclasses.

    Its errors are one line, as all errors of the commands are.

    Parameters
    ----------
    description : str
        What the command does, the head of its help.
    prog : str, optional
        The command's name in its help; without it the name of the script.
    """

    def __init__(self, description: str, *, prog: str | None = None) -> None:
        super().__init__(
            prog=prog,
            description=description,
            formatter_class=_WholeNames,
        )
        self._fields: dict[str, tuple[Field, argparse.Action]] = {}
        self._groups: dict[str, argparse._ArgumentGroup] = {}
        self.add_argument(
            "--config",
            metavar="FILE",
            help="YAML file of flags, by their names without dashes, for instance "
            "num_samples: 20; flags of the command line take their place",
        )

    def error(self, message: str) -> NoReturn:
        """Say in one line what is wrong with the command line, and leave."""
        leave(f"{message}; see --help", 2)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        # Python before 3.12 holds the missing value of an optional positional, which
        # stands for "not given", against its choices.
        if value is not argparse.SUPPRESS:
            super()._check_value(action, value)

    def add_fields(
        self,
        cls: type,
        *,
        title: str | None = None,
        presets: Mapping[str, object] | None = None,
        choices: Mapping[str, tuple[Any, ...] | None] | None = None,
        known: Mapping[str, Sequence[str]] | None = None,
        leave_out: Sequence[str] = (),
        note: str | None = None,
    ) -> None:
        """Add a flag for each field of a dataclass.

        Parameters
        ----------
        cls : type
            A dataclass whose docstring has a numpydoc section "Attributes".
        title : str, optional
            Heading of these flags in the help; may be given again.
        presets : mapping of str to object, optional
            Objects by the presets' names; the help shows their values of these fields.
        choices : mapping of str to tuple or None, optional
            Choices of fields that depend on the command; None where any value goes.
        known : mapping of str to sequence of str, optional
            Values of fields that the help lists, beside which others may be given.
        leave_out : sequence of str
            Fields that are no flags.
        note : str, optional
            What the help says below the heading.
        """
        if title is not None and title not in self._groups:
            self._groups[title] = self.add_argument_group(title, note)
        group = self if title is None else self._groups[title]
        for field in fields_of(cls):
            if field.name in leave_out:
                continue
            if choices is not None and field.name in choices:
                field = dataclasses.replace(field, choices=choices[field.name])
            if known is not None and field.name in known:
                words = f"{field.words} Known: {', '.join(known[field.name])}."
                field = dataclasses.replace(field, words=words)
            names, how = field.argument(presets)
            action = group.add_argument(*names, **how)
            # What was not given is not in the namespace.
            action.default = argparse.SUPPRESS
            if not field.positional:
                self._fields[field.name] = field, action

    def parse(self, argv: Sequence[str] | None = None) -> Flags:
        """The flags of a command line, and of the file that its ``--config`` names.

        Parameters
        ----------
        argv : sequence of str, optional
            The command line without the program; `sys.argv` where it is not given.

        Raises
        ------
        ConfigError
            If the file is not YAML, holds no mapping, names no flag of this command, a
            value is of another type than the flag's, a number is not finite or too
            large, or a text empty.
        OSError
            If the file cannot be read.
        """
        argv = sys.argv[1:] if argv is None else list(argv)
        stored = self._from_file(argv)
        for name in stored:
            self._fields[name][1].required = False
        given = vars(self.parse_args(argv))
        del given["config"]
        lists = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
        values = {**stored, **lists}
        for name, value in values.items():
            for one in value if isinstance(value, tuple) else (value,):
                self._check_usable(name, one)
        return Flags(values)

    def _check_usable(self, name: str, value: object) -> None:
        """Refuse what no flag can mean, such as a shell's variable that is not set."""
        what = flag_of(name) if name in self._fields else name.upper()
        if isinstance(value, str) and (not value or "\0" in value):
            wrong = "holds a zero byte" if value else "is empty"
            raise ConfigError(f"{what} {wrong}; give a text or leave it out")
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{what} is {value}; give a finite number")
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise ConfigError(f"{what} is {shown(value)}; give a smaller one")

    def _from_file(self, argv: Sequence[str]) -> dict[str, Any]:
        finder = _Finder(add_help=False, allow_abbrev=False)
        finder.add_argument("--config")
        path = finder.parse_known_args(argv)[0].config
        if path is None:
            return {}
        values = {}
        for key, value in _read_mapping(path).items():
            name = str(key).replace("-", "_")
            if name not in self._fields:
                near = difflib.get_close_matches(name, self._fields, n=1)
                hint = f"did you mean {near[0]!r}?" if near else "see --help"
                raise ConfigError(
                    f"{path}: this command has no flag {shown(key)}; {hint}"
                )
            if value is not None:
                values[name] = self._fields[name][0].convert(value, path)
        return values


class _Finder(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        leave(f"{message}; see --help", 2)


def _read_mapping(path: str) -> dict[object, object]:
    import yaml  # type: ignore[import-untyped]  # its types are another package

    if Path(path).exists() and not Path(path).is_file():
        raise ConfigError(f"{path}: is no regular file; give a YAML file")
    keys: list[str] = []
    try:
        loader = yaml.SafeLoader(Path(path).read_text(encoding="utf-8"))
        node = loader.get_single_node()
        content = None if node is None else loader.construct_document(node)
        if isinstance(content, dict):
            keys = [str(key.value).replace("-", "_") for key, _ in node.value]
    # Numbers and dates that are none are a ValueError, deep nesting a RecursionError.
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise ConfigError(f"{path}: is not YAML ({one_line(error)})") from error
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path}: holds no mapping; write a flag and its value a line, for "
            "instance steps: 500"
        )
    for place, key in enumerate(keys):
        if key in keys[:place]:
            raise ConfigError(f"{path}: gives {shown(key)} twice; give it once")
    return content
