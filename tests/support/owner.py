"""Other processes that have a folder to themselves."""

import contextlib
import subprocess
import sys

# It has the folder's lock until its input ends.
_OWNER = """
import sys
from filelock import FileLock
lock = FileLock(sys.argv[1] + "/.lock")
lock.acquire()
print("mine", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def owners():
    """Give what starts one for a folder; they live until they are told to end."""
    started = []

    def own(folder):
        folder.mkdir(parents=True, exist_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", _OWNER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdout.readline() == b"mine\n"
        return process

    yield own
    for process in started:
        process.kill()
        process.communicate()
