"""Starting processes on simulated hosts, and reaping every one of them.

Owns SIGCHLD of the simulator, which is the subreaper of all it starts: an orphan of a host becomes
its child, so exit codes are known and nothing is left as a zombie. Refuses asyncio's own child
watching, which would compete for the same exit codes.
"""

import asyncio
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36

Ended = Callable[[int], None]


class Reaper:
    """One per simulator. A watcher gets the exit code, negative for a signal."""

    def __init__(self) -> None:
        self._watchers: dict[int, Ended] = {}
        self._loop = asyncio.get_running_loop()

    def open(self) -> None:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def close(self) -> None:
        self._loop.remove_signal_handler(signal.SIGCHLD)
        self._watchers.clear()

    def watch(self, pid: int, ended: Ended) -> None:
        """Call `ended` once. Must follow the start without an await between."""
        self._watchers[pid] = ended

    def wait(self, pid: int) -> asyncio.Future[int]:
        """The exit code, to be awaited."""
        future: asyncio.Future[int] = self._loop.create_future()
        self.watch(pid, lambda code: None if future.done() else future.set_result(code))
        return future

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            ended = self._watchers.pop(pid, None)
            if ended is not None:
                ended(os.waitstatus_to_exitcode(status))


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    files: tuple[int | None, int | None, int | None],
) -> int:
    """Start a process in a session of its own. None in `files` is /dev/null."""
    given = [subprocess.DEVNULL if file is None else file for file in files]
    process = subprocess.Popen(
        argv,
        env=dict(env),
        cwd=cwd,
        stdin=given[0],
        stdout=given[1],
        stderr=given[2],
        start_new_session=True,
    )
    process.returncode = 0  # the reaper waits for it: Popen must neither wait nor complain
    return process.pid
