"""Decoded frames, kept on disk at the model's size and read at random."""

import contextlib
import errno
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from filelock import FileLock, Timeout

from svg_pyro.data.videos.decode import FITS, Source, decode, image_files
from svg_pyro.data.videos.gaps import Gap
from svg_pyro.errors import DataError
from svg_pyro.util.files import written_beside
from svg_pyro.util.progress import progress
from svg_pyro.util.reports import report_once

_VERSION = 3  # of what `decode` gives


class FrameStore:
    """A folder of decoded videos: raw uint8 frames, a file for each video.

    Each video is decoded once, from its first frame to its last. After that any
    window of it is exact and fast, whatever its codec, key frames, time stamps or
    header. A file's name is a digest of the video's path, size and time of change
    and of the settings here, so that several runs and settings share a folder; it
    may be deleted at any time.

    Parameters
    ----------
    folder : str or Path
        Made if need be.
    image_size : int
        Height and width of a frame in pixels.
    channels : int
        1 (grey) or 3 (RGB).
    fit : str
        "crop", "letterbox" or "stretch", see `decode`.

    Raises
    ------
    DataError
        There is no such fit.
    """

    def __init__(
        self, folder: str | Path, image_size: int, channels: int, fit: str = "crop"
    ) -> None:
        if fit not in FITS:
            raise DataError(f"no fit {fit!r}; choose one of {', '.join(FITS)}")
        self.folder = Path(folder).absolute()
        self.image_size, self.channels, self.fit = image_size, channels, fit
        self._files: dict[Source, Path] = {}
        self._counts: dict[Source, int] = {}
        self._gaps: dict[Source, list[int]] = {}

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(H, W, C)`` of a frame."""
        return self.image_size, self.image_size, self.channels

    def add(
        self, sources: Sequence[Source], desc: str = "decoding"
    ) -> dict[Source, str]:
        """Decode the videos that are not stored yet.

        An interrupted call goes on where it stopped. Of a video that breaks off
        the frames before are kept, and a line says so on standard error.

        Parameters
        ----------
        sources : sequence of Source
            The videos.
        desc : str
            Words before the progress bar.

        Returns
        -------
        dict of Source to str
            Those that cannot be read, each with the reason on one line; see
            `report_skipped`.

        Raises
        ------
        DataError
            The disk is full.
        """
        skipped: dict[Source, str] = {}
        missing: list[Source] = []
        for source in sources:
            try:
                self._files[source] = self._file(source)
            except OSError as error:
                skipped[source] = f"{source.name}: {error.strerror}"
                continue
            if not self._load(source):
                missing.append(source)
        if missing:
            with self._locked():
                skipped |= self._decode_all(missing, desc)
        for source in sources:
            if source not in skipped:
                with contextlib.suppress(FileNotFoundError):
                    note = _note(self._files[source])
                    report_once(note.read_text("utf-8"))
        return skipped

    def count(self, source: Source) -> int:
        """Frames stored of a video that `add` has taken, up to its first gap."""
        return self.stretches(source)[0][1]

    def stretches(self, source: Source) -> list[tuple[int, int]]:
        """The stretches of a video in which no frame is missing.

        Parameters
        ----------
        source : Source
            One that `add` has taken.

        Returns
        -------
        list of (int, int)
            At least one: its first frame, and the frame after its last.
        """
        inner = sorted({g for g in self._gaps[source] if 0 < g < self._counts[source]})
        edges = [0, *inner, self._counts[source]]
        return list(itertools.pairwise(edges))

    def read(self, source: Source, start: int, n: int, stride: int = 1) -> np.ndarray:
        """A window of a video.

        Parameters
        ----------
        source : Source
            One that `add` has taken.
        start : int
            Its first frame, counted from 0.
        n : int
            Frames to give.
        stride : int
            Steps from one frame to the next.

        Returns
        -------
        numpy.ndarray
            uint8, shape ``(n, H, W, C)``, values 0 to 255.

        Raises
        ------
        DataError
            The window lies outside the video, or the stored file is gone or spoiled.
        """
        if start < 0 or start + (n - 1) * stride >= self._counts[source]:
            raise DataError(
                f"{source.name}: frames {start} to {start + (n - 1) * stride} were "
                f"asked for; it has {self._counts[source]}"
            )
        frames = np.empty((n, *self.shape), np.uint8)
        # A map of each video would hold a file open; sets are larger than that limit.
        parts = [frames] if stride == 1 else list(frames)
        size = frames[0].nbytes
        try:
            with open(self._files[source], "rb", buffering=0) as file:
                for i, part in enumerate(parts):
                    file.seek((start + i * stride) * size)
                    read = file.readinto(part.data.cast("B"))
                    if read < part.nbytes:
                        raise OSError(errno.EIO, "the file is too short")
        except OSError as error:
            raise DataError(
                f"{self._files[source]}: stored frames of {source.name} cannot be read "
                f"({error.strerror}); start again and they are made again"
            ) from None
        return frames

    def _decode_all(self, sources: list[Source], desc: str) -> dict[Source, str]:
        skipped: dict[Source, str] = {}
        frames = 0
        with progress(
            total=len(sources), desc=desc, unit="file", delay=1, miniters=0, leave=False
        ) as bar:
            for source in sources:
                try:
                    # Another process may have stored it while this one waited.
                    if not self._load(source):
                        self._store(source, bar)
                    frames += self._counts[source]
                except DataError as error:
                    skipped[source] = str(error)
                except OSError as error:
                    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                        raise
                    self._full(bar.n, len(sources), frames)
                bar.update()
        return skipped

    def _store(self, source: Source, bar: Any) -> None:
        """Decode one video into its file, and a note if it breaks off."""
        path, count = self._files[source], 0
        gaps: list[Gap] = []
        notes: list[str] = []
        with written_beside(path) as beside, open(beside, "wb") as file:
            try:
                shape = self.image_size, self.channels, self.fit
                for frame in decode(source, *shape, gaps=gaps):
                    file.write(frame.data)
                    count += 1
                    bar.set_postfix_str(f"frame {count}", refresh=False)
                    bar.update(0)
            except DataError as error:
                if count == 0:
                    raise
                notes.append(str(error))
            file.flush()
            inner = [gap for gap in gaps if gap.start < count]
            if len(inner) < len(gaps) and not notes:
                reason = gaps[-1].reason
                notes = [f"{source.name}: only {count} frames can be read ({reason})"]
            if inner:
                notes.insert(0, _words(source, inner))
            for place, text in (
                (_note(path), "\n".join(notes)),
                (_gaps(path), " ".join(str(gap.start) for gap in inner)),
            ):
                place.unlink(missing_ok=True)
                if text:
                    with written_beside(place) as beside_text:
                        beside_text.write_text(text, "utf-8")
        if not self._load(source):
            raise DataError(f"{path}: the frames of {source.name} vanished")

    def _load(self, source: Source) -> bool:
        """Whether a video is stored, and then its count."""
        path = self._files[source]
        if not path.exists():
            return False
        count, rest = divmod(path.stat().st_size, int(np.prod(self.shape)))
        if rest or not count:
            return False
        self._counts[source] = count
        self._gaps[source] = []
        with contextlib.suppress(FileNotFoundError, ValueError):
            starts = _gaps(path).read_text("utf-8").split()
            self._gaps[source] = [int(start) for start in starts]
        return True

    def _file(self, source: Source) -> Path:
        """Where a video is stored, by its path, size, time of change, and settings."""
        path = source.path.absolute()
        files = image_files(path) if source.kind == "images" else [path]
        stats = [file.stat() for file in files]
        key = [
            _VERSION,
            self.image_size,
            self.channels,
            self.fit,
            source.kind,
            str(path),
            source.member,
            source.number,
            source.layout,
            [
                (file.name, stat.st_size, stat.st_mtime_ns)
                for file, stat in zip(files, stats, strict=True)
            ],
        ]
        digest = hashlib.sha256(repr(key).encode("utf-8", "surrogateescape"))
        return self.folder / f"{digest.hexdigest()[:32]}.frames"

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time decodes into the folder; a kill frees it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            report_once(f"{self.folder}: waiting for another run that decodes into it")
            lock.acquire()
        except (OSError, NotImplementedError):
            pass  # a file system without locks: a file may be decoded twice
        try:
            yield
        finally:
            lock.release()

    def _full(self, done: int, total: int, frames: int) -> NoReturn:
        """Raise the error that says how much room is needed."""
        used = frames * int(np.prod(self.shape)) / 1e6
        need = f", all need about {used * total / done:.0f} MB" if done else ""
        raise DataError(
            f"{self.folder}: the disk is full; {done} of {total} videos are stored in "
            f"{used:.0f} MB{need}; make room or give another cache folder, and the "
            "same command goes on"
        ) from None


def report_skipped(skipped: dict[Source, str], total: int) -> None:
    """Say once, on standard error, which videos are left out and why.

    Parameters
    ----------
    skipped : dict of Source to str
        Of `FrameStore.add`.
    total : int
        Videos that there are.
    """
    if skipped:
        head = f"skipped {len(skipped)} of {total} videos:"
        report_once("\n  ".join([head, *skipped.values()]))


def _note(path: Path) -> Path:
    """The file beside stored frames that says what was wrong with their video."""
    return path.with_suffix(".note")


def _gaps(path: Path) -> Path:
    """The file beside stored frames that says after which of them some are missing."""
    return path.with_suffix(".gaps")


def _words(source: Source, gaps: list[Gap]) -> str:
    """What is missing in a video, on one line."""
    places = ", ".join(f"after {gap.start}" for gap in gaps[:3])
    more = f" and {len(gaps) - 3} more times" if len(gaps) > 3 else ""
    return (
        f"{source.name}: frames are missing {places}{more}, where it cannot be decoded "
        f"({gaps[0].reason}); no clip reaches across"
    )
