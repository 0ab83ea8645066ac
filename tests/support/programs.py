"""Programs of a control plane of a test's own: started with their logs in one folder, killed by their process."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from localcluster.binaries import binary


@dataclass
class Programs:
    """`folder` takes one log a program. Several of one binary have names of their own."""

    folder: Path
    _processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, name: str, *arguments: str, program: str | None = None, niceness: int = 0) -> None:
        """`program` is the binary where it is not the name's. One that has a negative `niceness` goes before others."""
        command = [str(binary(program or name)), *arguments]
        if niceness:
            command = ["nice", "-n", str(niceness), *command]
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(command, stdout=log, stderr=log)

    def runs(self, name: str) -> bool:
        process = self._processes.get(name)
        return process is not None and process.poll() is None

    def must_run(self, name: str) -> None:
        """Fail with the end of its log when it has ended."""
        assert self.runs(name), f"{name} ended: {self.tail(name)}"

    def kill(self, name: str) -> None:
        """kill -9; nothing when it was not started."""
        process = self._processes.pop(name, None)
        if process is not None:
            process.kill()
            process.wait()

    def kill_all(self) -> None:
        """The last one started goes first."""
        for name in reversed(list(self._processes)):
            self.kill(name)

    def tail(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]

    def resident_mib(self, name: str) -> float:
        status = (Path("/proc") / str(self._processes[name].pid) / "status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024
