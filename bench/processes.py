"""What the kernel says of a process: CPU time by thread, and memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
UTIME, STIME = 11, 12  # fields of /proc/<pid>/stat behind the command, proc_pid_stat(5)


@dataclass(frozen=True)
class CpuTime:
    """Seconds of CPU. `main` is the first thread: of a server in Python, the one with the event loop."""

    total: float
    main: float

    def __sub__(self, earlier: CpuTime) -> CpuTime:
        return CpuTime(total=self.total - earlier.total, main=self.main - earlier.main)


@dataclass(frozen=True)
class Memory:
    """Bytes. `rss` counts every resident page; `pss` shares those that several processes have mapped."""

    rss: int
    pss: int


def read_cpu(pid: int) -> CpuTime:
    return CpuTime(total=_seconds(Path(f"/proc/{pid}/stat")), main=_seconds(Path(f"/proc/{pid}/task/{pid}/stat")))


def read_memory(pid: int) -> Memory:
    found: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) * 1024
    return Memory(rss=found["Rss"], pss=found["Pss"])


def _seconds(path: Path) -> float:
    fields = path.read_text().rpartition(")")[2].split()
    return (int(fields[UTIME]) + int(fields[STIME])) / TICKS
