"""Which axis of an array of videos is which."""

from dataclasses import dataclass

import numpy as np

from svg_pyro.errors import DataError

# n: videos, t: frames, c: colour channels, h and w: rows and columns of pixels.
LAYOUTS = (
    "thw",
    "thwc",
    "tchw",
    "nthw",
    "tnhw",
    "nthwc",
    "ntchw",
    "tnhwc",
    "tnchw",
)
_TOLD_ONLY = ("tnhwc", "tnchw")  # nobody publishes these: never guessed
_CHANNELS = (1, 3, 4)
_LEAST_SIDE = 8  # pixels; a shorter side is one only where nothing else fits
# mnist_test_seq.npy of Srivastava et al. (2015), which everybody tests on.
_PUBLISHED = {(20, 10_000, 64, 64): "tnhw"}


@dataclass(frozen=True)
class Reading:
    """An array's shape under a layout.

    Attributes
    ----------
    layout : str
        One of `LAYOUTS`.
    array : tuple of int
        The array's shape.
    """

    layout: str
    array: tuple[int, ...]

    def length(self, axis: str) -> int:
        """Length of the axis "n", "t", "c", "h" or "w"; 1 where there is none."""
        at = self.layout.find(axis)
        return 1 if at < 0 else self.array[at]

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """``(N, T, H, W, C)``."""
        n, t, h, w, c = (self.length(axis) for axis in "nthwc")
        return n, t, h, w, c

    @property
    def fits(self) -> bool:
        """Whether the channels are those of a picture."""
        return self.length("c") in _CHANNELS

    @property
    def likely(self) -> bool:
        """Whether it has more frames than one, and frames that show something."""
        sides = self.length("h"), self.length("w")
        return self.length("t") > 1 and min(sides) >= _LEAST_SIDE

    @property
    def words(self) -> str:
        """What the array is by this reading."""
        videos, frames, *_ = self.shape
        colour = {1: "grey", 3: "colour", 4: "colour with transparency"}
        what = f"{frames} {colour[self.length('c')]} frames ({self.layout})"
        return f"{videos} videos of {what}" if videos > 1 else f"one video of {what}"

    def place(self, number: int, t: int) -> int:
        """How many frames lie in the file before frame `t` of video `number`."""
        videos, frames, *_ = self.shape
        by_time = self.layout.startswith("tn")
        return t * videos + number if by_time else number * frames + t

    def picture(self, frame: np.ndarray) -> np.ndarray:
        """A frame as it lies in the file, flat, as ``(H, W, C)``."""
        _, _, height, width, channels = self.shape
        if "ch" in self.layout:
            frame = frame.reshape(channels, height, width)
            return np.moveaxis(frame, 0, -1)
        picture: np.ndarray = frame.reshape(height, width, channels)
        return picture


def read_shape(shape: tuple[int, ...], layout: str | None = None) -> Reading:
    """How an array of a shape is read.

    Without a layout only what the shape decides is read: of four axes the second or
    the last one is colour where its length is 1 or 3 and the frames that are left have
    sides of 8 pixels or more; videos and their frames cannot be told apart by shape,
    save for the published file of ``(20, 10000, 64, 64)``.

    Parameters
    ----------
    shape : tuple of int
        Of the array.
    layout : str, optional
        One of `LAYOUTS`.

    Raises
    ------
    DataError
        The array is empty; no layout fits the shape, or several do and none is given;
        or the one given is unknown or does not fit.
    """
    check_layout(layout)
    if 0 in shape:
        raise DataError(f"has shape {shape}: it is empty")
    if layout is not None:
        if len(layout) != len(shape) or not Reading(layout, shape).fits:
            raise DataError(
                f"has shape {shape}, which is not of layout {layout}",
                advice=("layout",),
            )
        return Reading(layout, shape)
    guesses = [name for name in LAYOUTS if name not in _TOLD_ONLY]
    readings = [Reading(name, shape) for name in guesses if len(name) == len(shape)]
    readings = [reading for reading in readings if reading.fits]
    if not readings:
        raise DataError(
            f"has shape {shape}; save it as (T, H, W), (T, H, W, C), (T, C, H, W), "
            "(N, T, H, W), (N, T, H, W, C) or (N, T, C, H, W) with C = 1, 3 or 4"
        )
    if shape in _PUBLISHED:
        return Reading(_PUBLISHED[shape], shape)
    return _only(shape, readings)


def check_layout(layout: str | None) -> None:
    """Raise `DataError` if a layout is given that is not one of `LAYOUTS`."""
    if layout is not None and layout not in LAYOUTS:
        raise DataError(f"no layout {layout!r}; choose one of {', '.join(LAYOUTS)}")


def _only(shape: tuple[int, ...], readings: list[Reading]) -> Reading:
    """The one reading that is left; `DataError` where there are several."""
    left = [reading for reading in readings if reading.likely] or readings
    coloured = [r for r in left if "c" in r.layout and r.length("c") != 4]
    left = coloured if len(coloured) == 1 else left
    if len(left) == 1:
        return left[0]
    raise DataError(
        f"has shape {shape}, which can be {' or '.join(r.words for r in left)}; say "
        "which layout it has",
        advice=("layout",),
    )
