"""How much memory loading a model took."""

from dataclasses import dataclass
from pathlib import Path

_STATUS = Path("/proc/self/status")
_KIB = 1024


@dataclass(frozen=True)
class LoadMemory:
    """Bytes. `peak` and `resident` are the process's own, from its start and after loading, imports included; the
    others are those of the GPU, None on a CPU.
    """

    peak: int
    resident: int
    device_peak: int | None = None
    device_resident: int | None = None

    def to_dict(self) -> dict[str, int]:
        """What /info shows; nothing where there is no GPU."""
        found = {
            "peakBytes": self.peak,
            "residentBytes": self.resident,
            "devicePeakBytes": self.device_peak,
            "deviceResidentBytes": self.device_resident,
        }
        return {name: value for name, value in found.items() if value is not None}

    def describe(self) -> str:
        """For the log."""
        text = f"peak {_mib(self.peak)}, now {_mib(self.resident)}"
        if self.device_peak is None or self.device_resident is None:
            return text
        return f"{text}; GPU: peak {_mib(self.device_peak)}, now {_mib(self.device_resident)}"


def measure_process() -> tuple[int, int]:
    """Largest and present resident memory of this process, in bytes.

    From /proc: getrusage would count what the process was before it was this program.
    """
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines() if ":" in line)
    peak, resident = (int(lines[key].split()[0]) * _KIB for key in ("VmHWM", "VmRSS"))
    return peak, resident


def _mib(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"
