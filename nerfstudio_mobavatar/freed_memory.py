"""What a process keeps of the memory that it frees, as glibc decides; other C libraries go their own way."""

import ctypes
import sys
from typing import Any

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of glibc's malloc.h."""


def keep_freed_memory() -> None:
    """Have the C library keep what is freed: pictures come and go while a step is loaded, and to take their memory from
    the system anew each time is a tenth of the time that decoding takes. Only glibc has to be told."""
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, 2**30)
        if not mallopt(M_MMAP_THRESHOLD, 2**30):
            mallopt(M_MMAP_THRESHOLD, 2**25)  # the most that older ones take


def give_memory_back() -> None:
    """What was kept, to the system: once a step is loaded, half of a process's own memory."""
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def _of_glibc(name: str) -> Any:
    """A function of it; None where there is none."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
