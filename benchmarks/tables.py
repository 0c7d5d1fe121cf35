"""Writes the tables of README.md and docs/ from the recorded result files.

    python benchmarks/tables.py            # write
    python benchmarks/tables.py --check    # fail when a page says something else

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; NAME is a function in tabled/.
"""

import re
import sys
from pathlib import Path

from peers import table as peers_table
from tabled import data, doubt, models, scale, speed, trials
from tabled.reading import ROOT, result

PAGES = (
    "README.md", "docs/model-card.md", "docs/results.md", "docs/scale.md", "docs/video.md",
)  # fmt: skip
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.S)


def main() -> None:
    """Write the pages, or check them."""
    stale = [page for page in PAGES if not write(ROOT / page, check="--check" in sys.argv)]
    if stale:
        sys.exit(f"{', '.join(stale)}: run  python benchmarks/tables.py")


def write(page: Path, *, check: bool) -> bool:
    """Fill the tables of a page; with `check` only say whether they are as they should be."""
    before = page.read_text("utf-8")
    after = BLOCK.sub(lambda m: m[1] + TABLES[m[2]]() + "\n" + m[3], before)
    if not check:
        page.write_text(after, "utf-8")
    return not check or before == after


def peers() -> str:
    """What other packages say of the same test faces."""
    return peers_table.figures(result("peers"))


def peers_origins() -> str:
    """What the peers are, and what they learned from."""
    return peers_table.origins(result("peers"))


TABLES = {
    f.__name__: f
    for f in (
        models.protocol, models.protocol_splits, models.headline, models.details,
        models.decades, models.groups,
        models.training, models.hybrid, models.gain, models.coverage, models.intervals,
        trials.ablations_scratch, trials.ablations_finetune,
        trials.heads, trials.joining, trials.tuned, trials.quantised, trials.reduced,
        data.copies, data.effort, data.planted, data.painted, data.pasted,
        doubt.corruptions, doubt.poor, doubt.unlike, doubt.views,
        speed.speed, speed.throughput, speed.service,
        scale.batch, scale.stages, scale.bends, scale.kills, scale.sharing,
        peers, peers_origins,
    )
}  # fmt: skip

if __name__ == "__main__":
    main()
