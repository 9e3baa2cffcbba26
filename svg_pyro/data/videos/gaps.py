"""Places in a video at which something is missing."""

from dataclasses import dataclass

_MOST_HELD = 64  # frames that a decoder may hold back
_WIDE = 1.5  # times the usual time from a frame to the next
_PASSED_OVER = "its decoder passes over what is stored there"


@dataclass(frozen=True)
class Gap:
    """A place at which frames could not be read.

    Attributes
    ----------
    start : int
        Frames that were read before it: what comes after is no continuation of them.
    reason : str
        Why, on one line.
    """

    start: int
    reason: str


class GapFinder:
    """Finds between which frames those are missing that could not be decoded.

    A decoder gives frames in the order in which they are shown, some packets after it
    was given them: which frame is missing is told by the time that passes between two.
    Some (of H.265, or in .ts files) pass over what is damaged without a word: then a
    packet's time is never shown.

    Parameters
    ----------
    gaps : list of Gap
        Gets what is found.
    """

    def __init__(self, gaps: list[Gap]) -> None:
        self._gaps = gaps
        self._faults, self._reason = 0, ""
        self._first, self._end = 0, 0  # the frames between which a gap is looked for
        self._last: int | None = None
        self._usual = 0  # ticks from a frame to the next
        # Ticks, the frame after them, and whether packets between are shown by none.
        self._jumps: list[tuple[int, int, bool]] = []
        self._due: set[int] = set()  # times of packets whose frames have not come

    def packet(self, time: int) -> None:
        """The decoder is given a packet whose frame is to be shown at a time."""
        self._due.add(time)

    def fault(self, count: int, in_flight: int, reason: str) -> None:
        """Something could not be decoded.

        Parameters
        ----------
        count : int
            Frames that the decoder has given.
        in_flight : int
            Frames that it may hold back.
        reason : str
            Why, on one line.
        """
        if not self._faults:
            self._first, self._end, self._reason = count, count, reason
        self._faults += 1
        self._end = max(self._end, count + max(0, min(in_flight, _MOST_HELD)))

    def frame(self, number: int, time: int | None) -> None:
        """The decoder has given a frame, which is shown at a time in ticks."""
        if time is not None and self._last is not None:
            jump = time - self._last
            # Of frames stored as two fields half of the times are shown by none.
            lost = jump > _WIDE * self._usual > 0 and self._passed_over(time)
            if self._faults:
                self._jumps.append((jump, number, lost))
            elif lost:
                self._gaps.append(Gap(number, _PASSED_OVER))
            elif jump > 0:
                self._usual = min(jump, self._usual or jump)
        if self._faults and number > self._end:
            self._settle(self._first)
        if time is not None:
            self._last = time
            self._due = {due for due in self._due if due > time}

    def _passed_over(self, time: int) -> bool:
        return any(due < time for due in self._due)

    def close(self, count: int) -> None:
        """The video has ended after `count` frames."""
        if self._faults:
            self._settle(count)

    def _settle(self, otherwise: int) -> None:
        usual = self._usual or min((ticks for ticks, *_ in self._jumps), default=0)
        wide = [jump for jump in self._jumps if jump[0] > _WIDE * usual]
        wide.sort(key=lambda jump: (-jump[0], jump[1]))
        starts = {number for _, number, _ in wide[: self._faults]}
        starts |= {number for _, number, lost in wide if lost}
        self._gaps += [
            Gap(start, self._reason) for start in sorted(starts or {otherwise})
        ]
        self._faults, self._reason, self._jumps = 0, "", []
