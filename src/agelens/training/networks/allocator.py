"""Keep the memory that training frees, instead of giving it back to the system at each step.

A training step frees and wants again some hundred megabytes of activations. glibc returns
blocks of that size to the system at once, which then hands out zeroed pages anew.
"""

import ctypes

# from glibc's malloc.h
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_NEVER = 2**31 - 1


def keep_memory() -> bool:
    """Let the C library keep freed memory; tell whether it could be told (glibc only)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # musl, macOS, Windows
        return False
    # no block in a mapping of its own, nothing given back from the top of the heap
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, 64 << 20))
    taken = [mallopt(key, value) == 1 for key, value in settings]
    return all(taken)
