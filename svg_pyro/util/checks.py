"""Checks of numbers that a caller gives."""

from svg_pyro.errors import SVGError
from svg_pyro.util.words import shown


def check_whole(
    name: str,
    value: object,
    *,
    least: int,
    most: int | None = None,
    error: type[SVGError],
    where: str = "",
) -> None:
    """Refuse what is not a whole number of at least `least`.

    Parameters
    ----------
    name : str
        Of the number, for the message.
    value : object
        The number.
    least : int
        The lowest one that is allowed.
    most : int, optional
        The highest one.
    error : type of SVGError
        The class to raise.
    where : str
        What comes first in the message, such as a class's name and a colon.

    Raises
    ------
    SVGError
        Of the class `error`, if `value` is no int (a bool is none), below `least`, or
        above `most`.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise error(
            f"{where}{name} is {shown(value)}; give a whole number of {least} or more"
        )
    if most is not None and value > most:
        raise error(f"{where}{name} is {shown(value)}; give {most} or less")
