import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from agelens.training.networks.allocator import keep_memory
told = keep_memory() if sys.argv[1] == "keep" else None
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(8_000_000)  # the first has to be got in any case
before = faults()
for _ in range(5):
    np.ones(8_000_000)
print(told, faults() - before)
"""


pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep memory"
)


def run(word: str) -> tuple[str, int]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, word], capture_output=True, text=True, check=True
    )
    told, faults = done.stdout.split()
    return told, int(faults)


def test_freed_memory_is_used_again() -> None:
    told, faults = run("keep")
    assert told == "True"
    assert faults < 1000
    assert run("leave")[1] > 3 * faults  # 64 MB got anew five times
