"""The folder of a training run: chosen, locked, and found again after a restart."""

import contextlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from svg_pyro.commands.fields import option
from svg_pyro.errors import ConfigError
from svg_pyro.util import distributed
from svg_pyro.util.locks import FolderLock

_MARK = ".job"
# A launcher starts processes anew before the last one of the earlier has gone.
_RESTART_WAIT = 20.0  # seconds


@dataclass(frozen=True)
class RunOptions:
    """Where a training run is kept, and how it is scored and drawn.

    Attributes
    ----------
    out : str or None
        Folder of the run; without it runs/ and the data set's name, and then a number
        where that holds a run.
    resume : bool
        Go on with the run in `out`.
    other_data : bool
        Go on also where the data are not those that the run was trained on so far.
    init : str or None
        Checkpoint, or name of a model that ships, whose weights the training starts
        from; its architecture takes the place of the preset's.
    device : str or None
        cuda or cpu; without it cuda where there is one.
    preset : str or None
        Named values of the flags that are not given; without it "paper" on cuda and
        "small" on a cpu.
    horizon : int or None
        Frames predicted in the final scores and pictures.
    num_samples : int
        Futures of each clip.
    test_clips : int
        Held-out clips that are scored.
    pictures : int
        Held-out clips that are drawn.
    tensorboard : bool
        Write the log for TensorBoard too, into the run's folder.
    wandb : bool
        Report the log to Weights & Biases too.
    """

    out: str | None = option(None, metavar="DIR")
    resume: bool = False
    other_data: bool = False
    init: str | None = option(None, metavar="MODEL")
    device: str | None = None
    preset: str | None = None
    horizon: int | None = option(None, least=1)
    num_samples: int = option(20, least=1)
    test_clips: int = option(128, least=1)
    pictures: int = option(4, least=0)
    tensorboard: bool = False
    wandb: bool = False


@dataclass(frozen=True)
class RunFolder:
    """A folder that this process has to itself.

    Attributes
    ----------
    out : Path
        The folder.
    lock : FolderLock
        Held.
    resume : bool
        Whether the run in it is to go on.
    """

    out: Path
    lock: FolderLock
    resume: bool


def choose_folder(name: str, options: RunOptions) -> RunFolder:
    """The run's folder; a run that is there is only touched by --resume.

    The lock is taken at once: a second run, started a moment later, finds it. A run
    that torchrun starts again after a failure goes on from its own checkpoint.

    Parameters
    ----------
    name : str
        The data set, after which a folder is named.
    options : RunOptions
        Its `out` and `resume`.

    Raises
    ------
    ConfigError
        If the folder that was asked for is in use, or holds a run and is not to be
        resumed.
    """
    restarted = distributed.restarted() and not options.resume
    if options.out is not None:
        return _given_folder(Path(options.out), options.resume, restarted)
    number, last = 1, None
    while True:
        out = Path(f"runs/{name}" + (f"-{number}" if number > 1 else ""))
        if restarted and _is_of_this_job(out):
            return _given_folder(out, options.resume, restarted)
        if not (out / "checkpoint.pt").exists():
            if options.resume and last is not None:
                return _locked(last, resume=True)
            # A run that has not saved yet is passed by as one that has.
            lock = FolderLock(out)
            if lock.acquire():
                _mark(out)
                return RunFolder(out, lock, options.resume)
        number, last = number + 1, out


def _given_folder(out: Path, resume: bool, restarted: bool) -> RunFolder:
    there = (out / "checkpoint.pt").exists()
    goes_on = resume or (there and restarted and _is_of_this_job(out))
    folder = _locked(out, resume=goes_on, wait=_RESTART_WAIT if restarted else 0.0)
    if (out / "checkpoint.pt").exists() and not goes_on:
        folder.lock.release()
        raise ConfigError(
            f"{out} holds a run; give --resume to go on with it, or another --out"
        )
    _mark(out)
    return folder


def _locked(out: Path, *, resume: bool, wait: float = 0.0) -> RunFolder:
    lock = FolderLock(out)
    if not lock.acquire(wait=wait):
        raise ConfigError(
            f"{out} is in use: a run that still lives writes to it; give another "
            "--out, or end that run first"
        )
    return RunFolder(out, lock, resume)


def _mark(out: Path) -> None:
    """Note whose the folder is, for a restart by the same launcher."""
    with contextlib.suppress(OSError):
        if distributed.launched():
            (out / _MARK).write_text(_job())
        else:
            (out / _MARK).unlink(missing_ok=True)


def _is_of_this_job(out: Path) -> bool:
    try:
        return (out / _MARK).read_text() == _job()
    except (OSError, UnicodeDecodeError):
        return False


def _job() -> str:
    """A name of the launcher's job, the same before and after a restart."""
    run = os.environ.get("TORCHELASTIC_RUN_ID", "")
    return f"{platform.node()} {os.getppid()} {run}"
