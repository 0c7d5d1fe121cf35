"""Write the tables of README.md and docs/ from the recorded result files.

    python benchmarks/tables.py            # write
    python benchmarks/tables.py --check    # fail when a page says something else

A table stands between `<!-- table: NAME -->` and `<!-- end -->` and is made by the Jinja template
`tables/NAME.md.jinja`. A template may break a line of text anywhere: the lines of a paragraph are
joined, and so are those of a table row, until a line begins with `|`.
"""

import csv
import json
import re
import sys
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from agelens.data.dataset import published, split_folds

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "README.md", "docs/model-card.md", "docs/results.md", "docs/scale.md", "docs/video.md",
)  # fmt: skip
BLOCK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.S)
LINE_BREAK = re.compile(r"(?<=\S) *\n *(?=[^\s|])")  # within a paragraph or a table row

RUNS = (
    "scratch-distilled-112", "scratch-distilled-112-light", "finetune-dlib", "finetune-dlib-light",
    "finetune-distilled", "hybrid-averaged", "hybrid-distilled", "hybrid", "fast-int8",
    "fast-dlib-int8",
)  # fmt: skip
TRAINED = (
    "scratch", "scratch-128", "scratch-distilled", "scratch-distilled-112",
    "scratch-distilled-112-light", "finetune-dlib", "finetune-dlib-light", "finetune",
    "finetune-distilled", "finetune-photo", "finetune-continued", "frozen", "frozen-dlib",
    "frozen-dlib-tuned", "concat-distilled", "concat-photo", "concat-both", "concat-dlib", "fast",
)  # fmt: skip
PROTOCOLS = (  # what was trained on all five splits
    "scratch-80", "frozen-dlib-tuned", "concat", "finetune-dlib-light", "hybrid",
)  # fmt: skip
SHIPPED = "hybrid"
NAMES = {"hybrid": "default", "fast-int8": "fast"}  # of the shipped runs

Figure = dict[str, float | None]  # value, low, high; small groups have no interval


def main() -> None:
    """Write the pages, or check them."""
    stale = [page for page in PAGES if not fill(ROOT / page, check="--check" in sys.argv)]
    if stale:
        sys.exit(f"{', '.join(stale)}: run  python benchmarks/tables.py")


def fill(page: Path, *, check: bool) -> bool:
    """Fill the tables of a page; with `check` only return whether they are as they should be."""
    before = page.read_text("utf-8")
    after = BLOCK.sub(lambda block: f"{block[1]}{render(block[2])}\n{block[3]}", before)
    if not check:
        page.write_text(after, "utf-8")
    return not check or before == after


def render(name: str, **context: Any) -> str:
    """Render a table; `context` replaces what its template reads otherwise."""
    text = ENVIRONMENT.get_template(f"{name}.md.jinja").render(**context)
    return LINE_BREAK.sub(" ", text.strip())


@cache
def read(path: str) -> Any:
    """Read a JSON file, given by its path below the repository's root."""
    return json.loads((ROOT / path).read_text("utf-8"))


def result(name: str) -> Any:
    """Read a benchmark's recorded result."""
    return read(f"benchmarks/results/{name}.json")


def evaluation(run: str, *, flip: bool = True) -> Any:
    """Read the recorded evaluation of a run on the test folds of split 0."""
    return read(f"runs/{run}/evaluation-split0-test{'-flip' * flip}/evaluation.json")


def rows(path: str) -> list[dict[str, Any]]:
    """Read a CSV file below the repository's root, numbers as float."""
    with (ROOT / path).open(encoding="utf-8", newline="") as file:
        return [{key: number(value) for key, value in row.items()} for row in csv.DictReader(file)]


def number(text: str) -> float | str:
    """Convert to a number where the text is one."""
    try:
        return float(text)
    except ValueError:
        return text


def leaked_test_faces(groups: list[list[str]]) -> int:
    """Count the test faces of split 0 with a copy among its training faces."""
    fold, folds = published(), split_folds(0)
    leaking = [group for group in groups if any(fold[file] in folds.train for file in group)]
    return sum(fold[file] in folds.test for group in leaking for file in group)


def interval(figure: Figure, factor: float, spec: str, join: str = " to ") -> str:
    """Format a figure and its 95 % interval, such as "4.30 (4.18 to 4.42)"."""
    if figure["value"] is None:
        return "-"
    value, *ends = (
        None if figure[key] is None else format(figure[key] * factor, spec)
        for key in ("value", "low", "high")
    )
    return value if None in ends else f"{value} ({join.join(ends)})"


def duration(hours: float) -> str:
    """Format a time in the unit that suits it."""
    for unit, size, most in (("s", 1 / 3600, 100), ("min", 1 / 60, 100), ("h", 1, 72)):
        if hours / size < most:
            return f"{hours / size:,.0f} {unit}"
    return f"{hours / 24:,.0f} days"


ENVIRONMENT = Environment(  # noqa: S701  (it writes Markdown, not HTML)
    loader=FileSystemLoader(Path(__file__).with_name("tables")),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.filters.update(
    f=format,
    years=lambda figure: interval(figure, 1, ".2f"),
    percent=lambda share: re.sub(r"^[\d.]+", r"\g<0>%", interval(share, 100, ".1f", "-")),
    points=lambda gap: re.sub(r"^\S+", r"\g<0> points", interval(gap, 100, "+.1f")),
    signed=lambda figure, factor=1, spec="+.3f": interval(figure, factor, spec),
    mean=lambda rows, key: fmean(row[key] for row in rows),
    words=lambda name: name.replace("_", " "),
    duration=duration,
)
ENVIRONMENT.tests["setting"] = lambda column: "." in column  # of a recipe, such as model.size
ENVIRONMENT.globals.update(
    result=result, evaluation=evaluation, rows=rows, leaked_test_faces=leaked_test_faces,
    run_record=lambda run: read(f"runs/{run}/run.json"),
    five_splits=lambda recipe: read(f"runs/protocol/{recipe}/protocol.json"),
    source=lambda record: f"`{record['command']}`, {record['date'][:10]}",
    RUNS=RUNS, TRAINED=TRAINED, PROTOCOLS=PROTOCOLS, SHIPPED=SHIPPED, NAMES=NAMES,
)  # fmt: skip

if __name__ == "__main__":
    main()
