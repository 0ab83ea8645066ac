"""How many CPUs this process may really use.

A container limited to one CPU still sees every core of the machine in os.cpu_count(), and threads beyond the quota
are throttled by the kernel in the middle of a batch. So the quota of the cgroup decides.
"""

import math
import os
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
PROC_CGROUP = Path("/proc/self/cgroup")


def limit_library_threads() -> None:
    """One thread for each numeric library: a worker computes on one core, and workers are as many as cores.

    Must be called before numpy and torch are imported; they size their thread pools once.
    """
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def count_cpus(*, root: Path = CGROUP_ROOT, membership: Path = PROC_CGROUP, affinity: int | None = None) -> int:
    """CPUs of the cgroup quota (v2 or v1) rounded up, bounded by the scheduler affinity; at least 1."""
    allowed = len(os.sched_getaffinity(0)) if affinity is None else affinity
    quota = read_quota(root=root, membership=membership)
    return max(1, allowed if quota is None else min(allowed, math.ceil(quota)))


def read_quota(*, root: Path, membership: Path) -> float | None:
    """The smallest CPU quota of this cgroup and its ancestors, in CPUs; None when there is no limit."""
    quotas = [quota for folder in _folders(root=root, membership=membership) if (quota := _folder_quota(folder))]
    return min(quotas, default=None)


def _folders(*, root: Path, membership: Path) -> list[Path]:
    """The cgroup's folder and its ancestors, for v2 and for the v1 cpu controller.

    Inside a container the mounted root usually is the cgroup itself, and the path in /proc/self/cgroup does not exist
    below it: then only the root is there to be read.
    """
    folders = [root, root / "cpu", root / "cpu,cpuacct"]
    for line in _read(membership).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        relative = Path(path.lstrip("/"))
        if controllers == "":
            bases = [root, root / "unified"]
        elif "cpu" in controllers.split(","):
            bases = [root / "cpu", root / "cpu,cpuacct", root / controllers]
        else:
            continue
        if ".." not in relative.parts:
            folders += [base / part for base in bases for part in (relative, *relative.parents)]
    return list(dict.fromkeys(folders))


def _folder_quota(folder: Path) -> float | None:
    v2 = _read(folder / "cpu.max").split()
    if len(v2) == 2 and v2[0] != "max":
        return int(v2[0]) / int(v2[1])
    quota, period = _read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip()
    if quota and period and int(quota) > 0:
        return int(quota) / int(period)
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
