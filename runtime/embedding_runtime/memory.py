"""How much memory loading a model took."""

import contextlib
import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_STATUS = Path("/proc/self/status")
_KIB = 1024
_MIB = 1024 * 1024
# glibc's mallopt: M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h.
_TRIM, _MAP = -1, -3


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


@contextlib.contextmanager
def giving_memory_back() -> Iterator[None]:
    """Memory that is freed inside goes back to the system at once, where the C library is glibc.

    It keeps what was freed for what comes next. While weights are rounded one after the other, small results that stay
    come to lie between large values that do not, and the process ends with more than twice what it holds. Afterwards
    the thresholds are those that glibc itself comes to by and by, so that computing reuses its memory.
    """
    library = ctypes.CDLL(None)
    mallopt, trim = getattr(library, "mallopt", None), getattr(library, "malloc_trim", None)
    if mallopt is None or trim is None:
        yield
        return
    mallopt(_MAP, _MIB)
    try:
        yield
    finally:
        trim(0)
        mallopt(_MAP, 32 * _MIB)
        mallopt(_TRIM, 64 * _MIB)


def _mib(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"
