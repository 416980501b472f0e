"""What the child may not do, so that a broken library harms nobody: set once, before it works.

Owns the bounds on memory, files and importance, and a filter of system calls: no socket, no other
program, no touch of another process. Where the kernel or the machine knows no filter, the bounds
alone hold. Refuses to be undone: nothing here can be taken back by the process itself.

The filter is classic BPF as `seccomp(2)` describes it; the numbers are those of the kernel's tables
for each machine.
"""

import ctypes
import os
import platform
import resource
import signal
import struct

_NO_NEW_PRIVS, _SECCOMP, _DEATH_SIGNAL, _DUMPABLE = 38, 22, 1, 4
_FILTER_MODE = 2
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _DENY = 0x7FFF0000, 0x00050001  # EPERM
_X32 = 0x40000000

_MACHINES: dict[str, tuple[int, tuple[int, ...]]] = {
    # socket, execve, execveat, ptrace, process_vm_readv, process_vm_writev, kill, io_uring_setup,
    # pidfd_open, bpf, userfaultfd, mount, unshare
    "x86_64": (0xC000003E, (41, 59, 322, 101, 310, 311, 62, 425, 434, 321, 323, 165, 272)),
    "aarch64": (0xC00000B7, (198, 221, 281, 117, 270, 271, 129, 425, 434, 280, 282, 40, 97)),
}


def confine(memory: int, file_size: int, files: int = 64) -> None:
    """Raises nothing for what the machine does not know."""
    os.nice(10)
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, file_size),
        (resource.RLIMIT_NOFILE, files),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (allowed, allowed))
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    library.prctl(_DUMPABLE, 0, 0, 0, 0)
    _filter(library)


def _filter(library: ctypes.CDLL) -> None:
    known = _MACHINES.get(platform.machine())
    if known is None:
        return
    rules = program(*known)
    kept = ctypes.create_string_buffer(rules, len(rules))
    head = struct.pack("HxxxxxxP", len(rules) // 8, ctypes.addressof(kept))
    whole = ctypes.create_string_buffer(head, len(head))
    if library.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        library.prctl(_SECCOMP, _FILTER_MODE, ctypes.byref(whole), 0, 0)


def program(machine: int, denied: tuple[int, ...]) -> bytes:
    """Deny these calls of this machine, and every call that is made as another machine's."""
    count = len(denied)
    rules = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 0, count + 3, machine),
        (_LOAD, 0, 0, 0),
        (_AT_LEAST, count + 1, 0, _X32),
        *((_EQUAL, count - at, 0, number) for at, number in enumerate(denied)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _DENY),
    ]
    return b"".join(struct.pack("HBBI", *rule) for rule in rules)
