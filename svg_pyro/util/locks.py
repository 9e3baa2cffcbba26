"""A folder that one process at a time writes to."""

import contextlib
import errno
from pathlib import Path

from filelock import FileLock, Timeout

from svg_pyro.util.files import LOCK

# A file system that knows no locks: then there is none, and no error.
_WITHOUT_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}


class FolderLock:
    """The right to write to a folder; the system takes it back when its owner dies.

    Within one process it can be had several times.

    Parameters
    ----------
    folder : str or Path
        Made when it is acquired.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._made: list[Path] = []
        self._lock: FileLock | None = None

    def acquire(self, *, wait: float = 0.0) -> bool:
        """Whether this process has the folder now.

        Parameters
        ----------
        wait : float
            Seconds to wait for another process that has it; negative: for ever.

        Raises
        ------
        OSError
            If the folder cannot be made, or not written to.
        """
        self._made += [f for f in (self.folder, *self.folder.parents) if not f.exists()]
        self.folder.mkdir(parents=True, exist_ok=True)
        # One for a path in this process: a command and the trainer in it agree.
        lock = FileLock(self.folder / LOCK, thread_local=False, is_singleton=True)
        try:
            lock.acquire(timeout=wait)
        except Timeout:
            return False
        except NotImplementedError:
            return True
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
            return True
        self._lock = lock
        return True

    def release(self) -> None:
        """Give it back, and leave no trace of it; nothing where it was not acquired.

        A folder that was made for it goes too where nothing else lies in it.
        """
        if self._lock is None:
            return
        last = self._lock.lock_counter == 1
        with contextlib.suppress(OSError):  # Windows removes no file that is open
            if last:
                (self.folder / LOCK).unlink()  # who waits for it looks for a new one
        self._lock.release()
        self._lock = None
        with contextlib.suppress(OSError):  # where something lies in it by now
            for folder in self._made if last else ():
                folder.rmdir()
