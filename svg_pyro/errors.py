"""The errors that a user can cause, one small family.

Every message is one line that names what is wrong, where, and what to do. The
commands print it and leave with exit status 2; in code each class is also the
built-in error that a caller would expect (`ValueError` and so on).
"""

from collections.abc import Sequence


class SVGError(Exception):
    """Base of the errors that the user of the package can mend.

    Parameters
    ----------
    message : str
        One line.
    advice : sequence of str
        Names of the settings (fields of a configuration, arguments) of which a change
        mends it, or of the data set that is to be chosen; the commands print the flags,
        or the command, that go with them.

    Attributes
    ----------
    advice : tuple of str
        Those names, empty where no setting helps.
    """

    def __init__(self, message: str = "", *, advice: Sequence[str] = ()) -> None:
        # Pyro makes an error that passes through it anew, with lines of its sites;
        # what another library said may have several lines too.
        lines = message.partition("\nTrace Shapes:")[0].split("\n")
        super().__init__(" ".join(line.strip() for line in lines).strip())
        self.advice = tuple(advice)


class ConfigError(SVGError, ValueError):
    """A configuration key is unknown, or its value is out of range."""


class FramesError(SVGError, ValueError):
    """A video tensor has the wrong rank, size, type or range."""


class DataError(SVGError, ValueError):
    """A data set is missing, of another layout, truncated or corrupt."""


class CheckpointError(SVGError, RuntimeError):
    """A checkpoint is missing, foreign, broken, or cannot be written."""


class TrainingError(SVGError, RuntimeError):
    """A run cannot go on, for example because its loss is not finite."""


class EvaluationError(SVGError, ValueError):
    """Predictions cannot be scored, or a file that a score needs is missing."""


class ProcessError(SVGError, RuntimeError):
    """Processes that work together cannot reach each other."""
