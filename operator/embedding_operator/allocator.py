"""How memory is freed: what the C library keeps of it, and how often Python looks for cycles.

Objects come as JSON of some 10 KiB to some MiB, and are soon dropped. glibc's malloc keeps room for them in a heap of
each thread, and more and more of it: whoever frees a large block raises the size from which on blocks are given back at
once. That came to half as much again as is in use.
"""

import ctypes
import gc
from typing import Final

# As in glibc's malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

# Blocks from this size on are mapped, and unmapped when they are freed: answers with pages of objects, buffers of TLS.
MAPPED_BYTES: Final = 64 * 1024
# Free memory at the end of the heap that is kept, glibc's own default: it is written down so that it stays as it is.
KEPT_BYTES: Final = 128 * 1024
# Containers made, and not freed, until Python's collector looks again; by default 700, which one object of a watch has.
CONTAINERS: Final = 10_000


def keep_little() -> None:
    """To be called before there are threads. Does nothing with a C library that has no such settings (musl)."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_M_ARENA_MAX, 1)  # threads take turns with the interpreter anyway
    mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)
    mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)


def collect_little() -> None:
    """To be called once everything is imported, which is most of what there is, and stays: the collector need not go
    through it again and again. It was a sixth of the operator's time while models come."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(CONTAINERS)
