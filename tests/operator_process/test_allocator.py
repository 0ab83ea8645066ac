"""How memory is freed: in a process of its own, since the settings are the whole process's."""

import ctypes
import subprocess
import sys

import pytest

from embedding_operator.allocator import MAPPED_BYTES

if not hasattr(ctypes.CDLL(None), "malloc_info"):
    pytest.skip("needs glibc", allow_module_level=True)

MAPPED_BLOCKS = f"""
size = 8 * {MAPPED_BYTES}  # no gap of the heap is so large
before = mapped_blocks()
large = [bytearray(size) for _ in range(100)]
print(mapped_blocks() - before)
del large
print(mapped_blocks() - before)
large = [bytearray(size) for _ in range(100)]
print(mapped_blocks() - before)
"""

HEAPS = """
def allocate():
    for _ in range(100):
        held.append(bytearray(1000))
    both.wait()
    both.wait()

held, both = [], threading.Barrier(5)
threads = [threading.Thread(target=allocate, daemon=True) for _ in range(4)]
for thread in threads:
    thread.start()
both.wait()
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
both.wait()
"""

COLLECTOR = """
import gc
from embedding_operator import handlers
from embedding_operator.allocator import collect_little

print(len(gc.get_objects()))
collect_little()
print(len(gc.get_objects()))
held = [[] for _ in range(100)]
print(len(gc.get_objects()))
"""

SCRIPT = """
import ctypes, threading
from embedding_operator.allocator import keep_little

class Blocks(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd".split()]
    _fields_ += [(name, ctypes.c_size_t) for name in "usmblks fsmblks uordblks fordblks keepcost".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Blocks

def mapped_blocks():
    return libc.mallinfo2().hblks

"""


def run(script: str, *, keeps_little: bool) -> str:
    call = "keep_little()\n" if keeps_little else ""
    done = subprocess.run([sys.executable, "-c", SCRIPT + call + script], capture_output=True, text=True, check=True)
    return done.stdout


def test_a_large_block_is_mapped_by_itself_also_after_others_were_freed() -> None:
    assert run(MAPPED_BLOCKS, keeps_little=True).split() == ["100", "0", "100"]
    assert run(MAPPED_BLOCKS, keeps_little=False).split() != ["100", "0", "100"]


def test_all_threads_share_one_heap() -> None:
    assert run(HEAPS, keeps_little=True).count("<heap nr=") == 1
    assert run(HEAPS, keeps_little=False).count("<heap nr=") > 1


def test_the_collector_goes_through_what_came_after_the_imports_only() -> None:
    imported, left, with_new = map(int, run(COLLECTOR, keeps_little=False).split())
    assert imported > 50_000
    assert left < 1000
    assert left + 100 <= with_new < 2000
