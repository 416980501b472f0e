"""What the child may see of the disk: the program, the system's libraries, and one folder of ours.

Owns the fence. A library that a hostile file has taken over reads the settings, the keys and other
people's recordings as easily as it reads sound; behind the fence it cannot open them. This is
Linux' Landlock (`landlock(7)`); a kernel without it opens what the user may open. Refuses to be
undone by the process itself.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION, _BENEATH = 1, 1
_NO_NEW_PRIVS = 38
_READ_FILE, _READ_FOLDER, _WRITE_FILE = 1 << 2, 1 << 3, 1 << 1
_REMOVE_FILE, _MAKE_FILE, _TRUNCATE = 1 << 5, 1 << 8, 1 << 14
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many kinds of access each version of the kernel's interface knows; later ones know more."""
_LATEST = 16

_SYSTEM = (
    *("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/sys/devices/system"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo"),  # those of others tell their secrets
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")


def version() -> int:
    """Of the kernel's interface; 0 where there is none."""
    told: int = ctypes.CDLL(None).syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION)
    return max(0, told)


def fence(folder: Path, known: int) -> bool:
    """From now on only `folder` can be written, and only it and the program be read. Whether that
    is so: `known` is what `version` tells."""
    if not known:
        return False
    library = ctypes.CDLL(None, use_errno=True)
    handled = (1 << _RIGHTS.get(known, _LATEST)) - 1
    rules = struct.pack("Q", handled)
    made = library.syscall(_CREATE, rules, ctypes.c_size_t(len(rules)), 0)
    if made < 0:
        return False
    try:
        reading = _READ_FILE | _READ_FOLDER
        writing = reading | _WRITE_FILE | _REMOVE_FILE | _MAKE_FILE | _TRUNCATE
        allowed = [(path, reading) for path in _program()]
        allowed += [(path, reading) for path in _SYSTEM]
        allowed += [(path, _READ_FILE | _WRITE_FILE) for path in _DEVICES]
        for path, access in (*allowed, (str(folder), writing)):
            _allow(library, made, path, access & handled)
        library.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
        return bool(library.syscall(_RESTRICT, made, 0) == 0)
    finally:
        os.close(made)


def _allow(library: ctypes.CDLL, rules: int, path: str, access: int) -> None:
    """What is not there needs no permission."""
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):  # noqa: PTH112 - a device or a file
            access &= _READ_FILE | _WRITE_FILE
        rule = struct.pack("=Qi", access, opened)
        library.syscall(_ADD, rules, _BENEATH, rule, 0)
    finally:
        os.close(opened)


def _program() -> Iterable[str]:
    """Python and its packages, and ours: not the folder ours lies in, which may hold the data."""
    here = Path(__file__).parents[3]
    return {sys.prefix, sys.base_prefix, sys.exec_prefix, str(here)}
