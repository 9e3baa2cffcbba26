"""The fields of a dataclass as flags: their types, choices, defaults and meanings."""

import argparse
import dataclasses
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from svg_pyro.errors import ConfigError
from svg_pyro.util.words import shown

_METAVARS = {int: "N", float: "X", str: "NAME"}
_NOT_SHOWN = (None, False, dataclasses.MISSING)  # defaults that the help leaves out
_ABOUT = ("least", "most", "choices", "metavar", "kind")  # the keys of `option`


def option(
    default: object = dataclasses.MISSING,
    *,
    least: float | None = None,
    most: float | None = None,
    choices: tuple[Any, ...] | None = None,
    metavar: str | None = None,
    kind: str = "flag",
) -> Any:  # as `dataclasses.field`, whose value stands for any type
    """A field of a dataclass, with what a command line must know besides its type.

    Parameters
    ----------
    default : Any
        The field's default; without it the flag must be given.
    least, most : float, optional
        The least and the greatest number that are allowed.
    choices : tuple, optional
        All values that are allowed.
    metavar : str, optional
        What stands for the value in the help, for instance "DIR".
    kind : str
        "flag"; "positional", which has no dashes; or "append", a flag that may be
        given again.
    """
    values = (least, most, choices, metavar, kind)
    about = dict(zip(_ABOUT, values, strict=True))
    return dataclasses.field(default=default, metadata=about)


def flag_of(name: str) -> str:
    """A field's name as it is written on a command line."""
    return "--" + name.replace("_", "-")


@dataclass(frozen=True)
class Field:
    """One field of a dataclass, as a command line sees it.

    Attributes
    ----------
    name : str
        The field's name.
    type : type
        bool, int, float or str: of the value, or of each value of many.
    many : bool
        Whether it is a tuple of values.
    default : Any
        `dataclasses.MISSING` where there is none.
    words : str
        What the class's docstring says of the field.
    least, most : float or None
        The least and the greatest number that are allowed.
    choices : tuple or None
        All values that are allowed.
    metavar : str or None
        What stands for the value in the help.
    kind : str
        See `option`.
    """

    name: str
    type: type
    many: bool
    default: Any
    words: str
    least: float | None = None
    most: float | None = None
    choices: tuple[Any, ...] | None = None
    metavar: str | None = None
    kind: str = "flag"

    @property
    def flag(self) -> str:
        """The field's name as it is written on a command line."""
        return flag_of(self.name)

    @property
    def positional(self) -> bool:
        """Whether its value is given without a flag."""
        return self.kind == "positional"

    def argument(
        self, presets: Mapping[str, object] | None
    ) -> tuple[list[str], dict[str, Any]]:
        """Arguments of `argparse.ArgumentParser.add_argument`.

        Parameters
        ----------
        presets : mapping of str to object, optional
            Objects by the presets' names; if they have this field, the help shows its
            value in each.
        """
        words = " ".join(filter(None, (self.words, self._default_words(presets))))
        how: dict[str, Any] = {"help": words.replace("%", "%%")}
        if self.type is bool:
            return [self.flag], {**how, "action": argparse.BooleanOptionalAction}
        how |= {"type": self.type, "choices": self.choices, "metavar": self.metavar}
        if self.metavar is None and self.choices is None:
            how["metavar"] = _METAVARS[self.type]
        if self.kind == "append":
            how["action"] = "append"
        elif self.many:
            optional = self.positional and self.default is not dataclasses.MISSING
            how["nargs"] = "*" if optional else "+"
        elif self.positional and self.default is not dataclasses.MISSING:
            how["nargs"] = "?"
        if self.positional:
            return [self.name], how
        how["required"] = self.default is dataclasses.MISSING
        return [self.flag], how

    def check_bounds(self, value: Any) -> None:
        """Refuse a number that is below `least` or above `most`; None is none.

        Raises
        ------
        ConfigError
            With the flag's name.
        """
        if value is None:
            return
        if self.least is not None and not value >= self.least:
            raise ConfigError(f"{self.flag} is {value:g}; give {self.least:g} or more")
        if self.most is not None and not value <= self.most:
            raise ConfigError(f"{self.flag} is {value:g}; give {self.most:g} or less")

    def convert(self, value: object, source: str) -> object:
        """A value from a YAML file in the field's type.

        Parameters
        ----------
        value : object
            As YAML has it; text that reads as a number is one ("1e-4" is text there).
        source : str
            Names the file in an error.

        Raises
        ------
        ConfigError
            If the value is of another type, or not one of the choices.
        """
        if self.many:
            items = value if isinstance(value, list) else [value]
            return tuple(self._convert_one(item, source) for item in items)
        return self._convert_one(value, source)

    def _convert_one(self, value: object, source: str) -> object:
        wrong = f"{source}: {self.name} is {shown(value)}"
        if isinstance(value, (list, dict, set)):
            raise ConfigError(f"{wrong}; give one value")
        if isinstance(value, bool) != (self.type is bool):
            want = "true or false" if self.type is bool else _article(self.type)
            raise ConfigError(f"{wrong}; give {want}")
        if self.type is bool:
            return value
        try:
            made = self.type(str(value))
        except (ValueError, OverflowError):
            raise ConfigError(f"{wrong}; give {_article(self.type)}") from None
        if self.choices is not None and made not in self.choices:
            raise ConfigError(f"{wrong}; choose one of {list(self.choices)}")
        return made

    def _default_words(self, presets: Mapping[str, object] | None) -> str:
        if presets and all(hasattr(v, self.name) for v in presets.values()):
            values = {k: _text(getattr(v, self.name)) for k, v in presets.items()}
            if len(set(values.values())) == 1:
                return f"(default: {next(iter(values.values()))})"
            return f"(default: {', '.join(f'{k} {v}' for k, v in values.items())})"
        if any(self.default is absent for absent in _NOT_SHOWN) or self.default == ():
            return ""
        return f"(default: {_text(self.default)})"


def fields_of(cls: type) -> tuple[Field, ...]:
    """The fields of a dataclass whose docstring has a section "Attributes".

    Parameters
    ----------
    cls : type
        A dataclass with fields of bool, int, float or str, of one of these or None,
        or of tuples of them.
    """
    hints = typing.get_type_hints(cls)
    known = [field.name for field in dataclasses.fields(cls)]
    words = _docstring_words(cls, known)
    found = []
    for field in dataclasses.fields(cls):
        kind, many, choices = _type_of(hints[field.name], field.default)
        about = {k: field.metadata.get(k) for k in _ABOUT}
        found.append(
            Field(
                field.name,
                kind,
                many,
                field.default,
                words[field.name],
                least=about["least"],
                most=about["most"],
                choices=about["choices"] or choices,
                metavar=about["metavar"],
                kind=about["kind"] or "flag",
            )
        )
    return tuple(found)


def _docstring_words(cls: type, known: list[str]) -> dict[str, str]:
    """What a numpydoc docstring says of each field; names of fields become flags."""
    # Only those who ask for a command line pay for it.
    import docstring_parser

    style = docstring_parser.DocstringStyle.NUMPYDOC
    words = dict.fromkeys(known, "")
    for entry in docstring_parser.parse(cls.__doc__ or "", style=style).params:
        text = " ".join((entry.description or "").split()).replace("``", "`")

        def as_flag(match: re.Match[str]) -> str:
            name = match[1]
            return flag_of(name) if name in known else name

        text = re.sub(r"`([^`]*)`", as_flag, text)
        for name in entry.arg_name.split(","):
            words[name.strip()] = text
    return words


def _type_of(hint: Any, default: Any) -> tuple[type, bool, tuple[str, ...] | None]:
    """The type of a value, whether there are many, and their choices if it has them."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (hint,) = (part for part in typing.get_args(hint) if part is not type(None))
    if hint is tuple:
        return type(default[0]), True, None
    if typing.get_origin(hint) is tuple:
        kind, _, choices = _type_of(typing.get_args(hint)[0], None)
        return kind, True, choices
    if typing.get_origin(hint) is typing.Literal:
        choices = typing.get_args(hint)
        return type(choices[0]), False, choices
    return hint, False, None


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(value)


def _article(kind: type) -> str:
    return {int: "a whole number", float: "a number"}.get(kind, "text")
