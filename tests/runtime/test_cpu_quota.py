"""Worker counts follow the cgroup's quota, whichever version of cgroups there is."""

from pathlib import Path

import pytest

from embedding_runtime.cpu import count_cpus


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


@pytest.mark.parametrize(
    ("files", "membership", "expected"),
    [
        pytest.param({"cpu.max": "100000 100000"}, "0::/", 1, id="v2, one CPU"),
        pytest.param({"cpu.max": "150000 100000"}, "0::/", 2, id="v2, rounded up"),
        pytest.param({"cpu.max": "50000 100000"}, "0::/", 1, id="v2, half a CPU is one worker"),
        pytest.param({"cpu.max": "max 100000"}, "0::/", 8, id="v2, no limit"),
        pytest.param({"cpu.max": "6400000 100000"}, "0::/", 8, id="v2, quota above the affinity"),
        pytest.param(
            {"pod/cpu.max": "200000 100000", "pod/app/cpu.max": "max 100000"}, "0::/pod/app", 2, id="v2, parent"
        ),
        pytest.param({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, "3:cpu:/", 3, id="v1"),
        pytest.param({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "3:cpu:/", 8, id="v1, none"),
        pytest.param(
            {"cpu,cpuacct/pod/cpu.cfs_quota_us": "120000", "cpu,cpuacct/pod/cpu.cfs_period_us": "100000"},
            "4:cpu,cpuacct:/pod",
            2,
            id="v1, joint controllers",
        ),
        pytest.param({"cpu.max": "200000 100000"}, "0::/../../elsewhere", 2, id="v2, a path outside is not followed"),
        pytest.param({}, "", 8, id="no cgroups"),
    ],
)
def test_workers_are_the_quota_rounded_up_and_bounded_by_the_affinity(
    tmp_path: Path, files: dict[str, str], membership: str, expected: int
) -> None:
    root, proc = tmp_path / "cgroup", tmp_path / "self"
    write(root, files)
    proc.write_text(membership + "\n")

    assert count_cpus(root=root, membership=proc, affinity=8) == expected
