"""Does the service stand 2,000 hostile requests? Every one must be answered, none with 5xx.

Mutated pictures, decompression bombs, wrong types, huge headers, polyglots, slow uploads,
malformed multipart and HTTP, drawn by hostile_requests.py from a seed. After every 100 the
portrait must still get its answer, and the memory is read. Writes results/fuzz_service.json.

    python benchmarks/fuzz_service.py [--requests 2000] [--seed 1]
"""

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import record
from hostile_requests import PORTRAIT, Answer, Attack, attacks, request, send
from service import resident, serving

UPLOAD_SECONDS = 2.0
LIMIT = 60.0  # seconds for an answer
AT_ONCE = 8
GROWTH = 1.10
SETTINGS = (
    "--upload-seconds", str(UPLOAD_SECONDS), "--max-pixels", "4000000", "--max-bytes", "1000000",
    "--max-wait", "30", "--seconds", str(LIMIT - 10),
)  # fmt: skip


def main() -> int:
    """Attack, print and write; 1 where a bar is not met."""
    given = record.parser(__doc__, requests=2000, seed=1, model=None).parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(given.model, Path(folder), *SETTINGS) as service,
    ):
        figures = attack(service.url, service.process, given.seed, given.requests)
        figures["bars"]["no traceback in the log"] = "Traceback" not in service.log.read_text()
    record.show(record.write(given, figures))
    return record.report_missed(figures["bars"])


def attack(url: str, process: "subprocess.Popen[bytes]", seed: int, count: int) -> dict[str, Any]:
    """Send everything and judge what came back."""
    good = Attack("portrait", (request(PORTRAIT.read_bytes()),))
    expected = faces(send(url, good, LIMIT))
    assert expected, "the portrait has a face"
    answers: list[tuple[Attack, Answer]] = []
    memory: list[float] = []
    changed, began, sent = 0, time.monotonic(), list(attacks(seed, count))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for start in range(0, count, 100):
            part = sent[start : start + 100]
            answers += zip(part, pool.map(lambda one: send(url, one, LIMIT), part), strict=True)
            changed += faces(send(url, good, LIMIT)) != expected
            memory.append(round(resident(process.pid), 1))
            print(f"{len(answers)} of {count}, {memory[-1]} MB", file=sys.stderr)
    # A leak is what never comes back. In the first quarter the allocator grows to what the largest
    # pictures take; above its floor the memory moves with what the threads worked on last.
    quarter = max(1, len(memory) // 4)
    first, last = min(memory[quarter:][:quarter] or memory), min(memory[-quarter:])
    kinds = {kind: Counter() for kind in sorted({one.kind for one in sent})}
    for one, answer in answers:
        kinds[one.kind][str(answer.status or "closed")] += 1
    silent = [one for one, a in answers if not a.status and not one.leaves]
    faults = [one for one, a in answers if a.status >= 500]
    slowest = max(answer.seconds for _, answer in answers)
    for one in [*silent, *faults]:
        print(f"{one.kind}: {one.parts[0][:300]!r}", file=sys.stderr)
    return {
        "seed": seed, "requests": len(answers), "seconds": round(time.monotonic() - began, 1),
        "statuses": kinds, "slowest_seconds": round(slowest, 2),
        "memory_mb": {
            "every_100": memory, "least_of_second_quarter": first, "least_of_last_quarter": last,
        },
        "bars": {
            "alive at the end": process.poll() is None, "no 5xx": not faults,
            "each answered": not silent, f"within {LIMIT:g} s": slowest < LIMIT,
            "the portrait is answered as before": changed == 0,
            f"memory's floor within {GROWTH - 1:.0%}": last < GROWTH * first,
        },
    }  # fmt: skip


def faces(answer: Answer) -> Any:
    """Return the faces of an answer about one picture; None where there is none."""
    try:
        return json.loads(answer.body)["pictures"][0]["faces"]
    except (ValueError, KeyError, IndexError):
        return None


if __name__ == "__main__":
    sys.exit(main())
