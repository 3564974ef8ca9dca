"""How does a program get slow syncs, although it is linked statically and no disk here is slow?

The kernel asks a helper before every fsync and fdatasync of the program (a seccomp filter with
SECCOMP_RET_USER_NOTIF, man 2 seccomp_unotify). The helper waits for as long as a file says, one call after
the other as a disk does, and lets the call go on. The calls are real and happen; they come late.

Run as `python slow_sync.py DELAY COMMAND...`, standard library only: it becomes the command, with its pid.
"""

import contextlib
import ctypes
import errno
import fcntl
import functools
import os
import platform
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

CALLS = {"x86_64": (0xC000003E, 74, 75), "aarch64": (0xC00000B7, 82, 83)}
"""The architecture as the kernel calls it, and its numbers of fsync and fdatasync."""
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER = 1
_NEW_LISTENER, _WAIT_KILLABLE = 1 << 3, 1 << 5
"""Without the second, the signals by which Go interrupts its threads would interrupt a sync that waits."""
_ALLOW, _ASK = 0x7FFF0000, 0x7FC00000
_LOAD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4
_NO_NEW_PRIVILEGES = 38
_PARENT_DEATH = 1
_NOTICE = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_RECEIVE = 3 << 30 | _NOTICE.size << 16 | ord("!") << 8
_SEND = 3 << 30 | _ANSWER.size << 16 | ord("!") << 8 | 1
_CONTINUE = 1
_FIRST = -15
"""The helper's niceness where that is allowed: on a busy machine no sync must wait for it as well."""

_libc = ctypes.CDLL(None, use_errno=True)


@functools.cache
def why_not() -> str:
    """What keeps a program from being slowed down here; empty: nothing does."""
    if platform.machine() not in CALLS:
        return f"the numbers of system calls on {platform.machine()} are not known here"
    done = subprocess.run(argv(Path(os.devnull), ("true",)), capture_output=True, check=False)
    return "being asked before every sync takes Linux 5.19 and seccomp" if done.returncode else ""


def argv(delay: Path, command: tuple[str, ...]) -> tuple[str, ...]:
    """The command, with syncs that take as long as this file says; its pid stays."""
    return (sys.executable, "-I", "-S", __file__, str(delay), *command)


def write(delay: Path, seconds: float) -> None:
    """Let every sync take so much longer from now on. Renamed into place: nobody reads half a number."""
    new = delay.with_suffix(".new")
    new.write_text(f"{seconds:.3f}\n")
    new.rename(delay)


def main(delay: Path, command: list[str]) -> None:
    """Become the command; the helper is a child of it and ends with it."""
    ours, its = socket.socketpair()
    parent = os.getpid()
    if not os.fork():
        # Before the filter is there: it holds for the children of whoever installs it too.
        ours.close()
        _libc.prctl(_PARENT_DEATH, signal.SIGKILL)
        if os.getppid() == parent:
            _, listeners, _, _ = socket.recv_fds(its, 1, 1)
            its.close()
            for listener in listeners:  # none: the filter was refused
                _help(listener, delay)
        os._exit(0)
    its.close()
    listener = _listener()
    socket.send_fds(ours, [b"x"], [listener])
    ours.close()
    os.close(listener)
    os.execvp(command[0], command)


def _listener() -> int:
    """Install the filter for this process and all that it becomes; a file that is told of every sync."""
    architecture, *syncs = CALLS[platform.machine()]
    code = (
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_IF_EQUAL, 0, 3, architecture),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_IF_EQUAL, 2, 0, syncs[0]),
        (_IF_EQUAL, 1, 0, syncs[1]),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ASK),
    )
    packed = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in code))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(code), ctypes.addressof(packed)))
    if _libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    flags = _NEW_LISTENER | _WAIT_KILLABLE
    found = _libc.syscall(_SECCOMP[platform.machine()], _SET_MODE_FILTER, flags, program)
    if found < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return int(found)


def _help(listener: int, delay: Path) -> None:
    """Answer one call after the other until nobody is left who could make one."""
    with contextlib.suppress(PermissionError):
        os.nice(_FIRST)
    ready = select.poll()
    ready.register(listener, select.POLLIN)
    while True:
        for _, event in ready.poll():
            if event & select.POLLHUP:
                return
        try:
            notice = bytearray(_NOTICE.size)
            fcntl.ioctl(listener, _RECEIVE, notice)
            if seconds := float(delay.read_text()):
                time.sleep(seconds)
            (number,) = struct.unpack_from("=Q", notice)
            fcntl.ioctl(listener, _SEND, _ANSWER.pack(number, 0, 0, _CONTINUE))
        except OSError as error:
            # Whoever asked was killed meanwhile.
            if error.errno not in (errno.ENOENT, errno.EINTR):
                raise


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
