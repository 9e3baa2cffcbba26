"""Checks of numbers that a caller gives."""

from svg_pyro.errors import SVGError


def check_whole(
    name: str, value: object, *, least: int, error: type[SVGError], where: str = ""
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
    error : type of SVGError
        The class to raise.
    where : str
        What comes first in the message, such as a class's name and a colon.

    Raises
    ------
    SVGError
        Of the class `error`, if `value` is no int (a bool is none), or below `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise error(
            f"{where}{name} is {value!r}; give a whole number of {least} or more"
        )
