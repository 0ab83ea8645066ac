"""A process shuts itself in: from then on it computes, and reads and writes the files that it has open. Nothing else.

The filter lists what is allowed; every other system call fails with EPERM. So nothing has to be foreseen: no socket, no
opening of any file, no exec, fork, thread, ptrace or signal to another process, no io_uring, no executable memory. It
needs no privilege, since libseccomp sets no_new_privs first, and the RuntimeDefault profile of pods allows it. There is
no way back.

Landlock would add nothing: no path can be opened at all. The price is that everything has to be imported before.
"""

import ctypes
import errno
import mmap
import os
import resource
import signal
import socket
from collections.abc import Collection
from pathlib import Path

# What computing, and reading and writing open files, takes in Python, glibc and torch on one thread. A name that a
# machine lacks (arm64 has fewer) is passed over.
_ALLOWED = (
    "read",
    "readv",
    "pread64",
    "write",
    "writev",
    "lseek",
    "close",
    "fstat",
    "ftruncate",
    "fsync",
    "brk",
    "munmap",
    "mremap",
    "madvise",
    "futex",
    "sched_yield",
    "sched_getaffinity",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigaltstack",
    "clock_gettime",
    "gettimeofday",
    "getpid",
    "gettid",
    "getrandom",
    "restart_syscall",
    "exit",
    "exit_group",
)
_DESCRIPTOR_ONLY = ("newfstatat",)  # glibc asks for a descriptor's size in this way, with AT_EMPTY_PATH
_AT_EMPTY_PATH = 0x1000
_MAPPING = ("mmap", "mprotect")
_PR_SET_PDEATHSIG = 1


class Unprotected(Exception):
    """This machine cannot shut a process in; `message` says what is missing."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def end_with_parent() -> None:
    """From now on the kernel kills this process when the thread that started it ends (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def shut_in(*, keep: Collection[int], memory_bytes: int, file_bytes: int, cpu_seconds: int) -> None:
    """Close every descriptor but `keep`, set the limits, then install the filter, and try it.

    `memory_bytes` is address space beyond what is mapped now, `file_bytes` the size that a file may reach.
    Raises Unprotected when any part of it is not in force.
    """
    _close_all_but(keep)
    _limit(memory_bytes=memory_bytes, file_bytes=file_bytes, cpu_seconds=cpu_seconds)
    _install()
    _try()


def _close_all_but(keep: Collection[int]) -> None:
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in keep:
            try:
                os.close(int(name))
            except OSError as error:  # the descriptor of the listing itself
                if error.errno != errno.EBADF:
                    raise


def _limit(*, memory_bytes: int, file_bytes: int, cpu_seconds: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = {
        resource.RLIMIT_AS: pages * mmap.PAGESIZE + memory_bytes,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in limits.items():
        _, most = resource.getrlimit(kind)
        allowed = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(kind, (allowed, allowed))


def _install() -> None:
    try:
        import pyseccomp
    except (ImportError, RuntimeError, OSError) as error:
        raise Unprotected(
            "pyseccomp or the system's libseccomp is missing (Debian: libseccomp2); use the project's image"
        ) from error
    try:
        rules = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.EPERM))
        rules.set_attr(pyseccomp.Attr.CTL_TSYNC, 1)  # threads that a library may have started, too
        for name in _ALLOWED:
            rules.add_rule(pyseccomp.ALLOW, name)
        for name in _DESCRIPTOR_ONLY:
            rules.add_rule(pyseccomp.ALLOW, name, pyseccomp.Arg(3, pyseccomp.MASKED_EQ, _AT_EMPTY_PATH, _AT_EMPTY_PATH))
        for name in _MAPPING:  # no new code
            rules.add_rule(pyseccomp.ALLOW, name, pyseccomp.Arg(2, pyseccomp.MASKED_EQ, mmap.PROT_EXEC, 0))
        rules.add_rule(pyseccomp.ALLOW, "tgkill", pyseccomp.Arg(0, pyseccomp.EQ, os.getpid()))  # abort()
        rules.load()
    except OSError as error:
        raise Unprotected(
            f"the kernel or the container's seccomp profile does not take a seccomp filter ({error.strerror}); "
            "the profile must allow seccomp and prctl, as RuntimeDefault does"
        ) from error


def _try() -> None:
    """A filter that was accepted but is not enforced (an emulated kernel) would be none."""
    try:
        socket.socket().close()
    except PermissionError:
        pass
    else:
        raise Unprotected("the seccomp filter is not enforced: a socket could be opened")
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except PermissionError:
        pass
    else:
        raise Unprotected("the seccomp filter is not enforced: a file could be opened")
