"""The recorded files, and how their figures are written."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RUNS = (
    "scratch-taught-112", "scratch-milder", "finetune-dlib", "finetune-dlib-milder",
    "finetune-taught", "hybrid-pooled", "hybrid", "fast-int8", "fast-dlib-int8",
)  # fmt: skip
TRAINED = (
    "scratch", "scratch-128", "scratch-taught", "scratch-taught-112", "scratch-milder",
    "finetune-dlib", "finetune-dlib-milder", "finetune", "finetune-taught", "finetune-again",
    "frozen", "frozen-dlib", "frozen-dlib-tuned-0", "fused-taught", "fused-both", "fused-dlib",
    "fast",
)  # fmt: skip
PROTOCOLS = (  # what was trained on all five splits
    "scratch-80", "frozen-dlib-tuned-0", "fused", "finetune-dlib-milder", "hybrid",
)  # fmt: skip
SHIPPED = "hybrid"
NAMES = {"hybrid": "default", "fast-int8": "fast"}  # of the shipped ones


def evaluation(run: str, flip: str = "-flip") -> dict[str, Any]:
    """Read the recorded evaluation of a run on the test folds of split 0."""
    path = ROOT / "runs" / run / f"evaluation-split0-test{flip}" / "evaluation.json"
    return json.loads(path.read_text("utf-8"))


def five_splits(recipe: str) -> dict[str, Any]:
    """Read what `agelens benchmark` recorded of a recipe."""
    path = ROOT / "runs" / "protocol" / recipe / "protocol.json"
    return json.loads(path.read_text("utf-8"))


def result(name: str) -> dict[str, Any]:
    """Read a benchmark's recorded result."""
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text("utf-8"))


def table(headings: list[str], rows: list[list[str]]) -> str:
    """Give a Markdown table; the first column is words, the others are numbers."""
    rule = ["---", *["---:"] * (len(headings) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [headings, rule, *rows])


def years(figure: dict[str, float]) -> str:
    """Give years with their 95 % interval; small groups have none."""
    if figure["low"] is None:
        return f"{figure['value']:.2f}"
    return f"{figure['value']:.2f} ({figure['low']:.2f} to {figure['high']:.2f})"


def percent(figure: dict[str, float]) -> str:
    """Give a share in percent with its 95 % interval; small groups have none."""
    if figure["low"] is None:
        return f"{figure['value']:.1%}"
    return f"{figure['value']:.1%} ({figure['low'] * 100:.1f}-{figure['high'] * 100:.1f})"


def signed(figure: dict[str, float]) -> str:
    """Give a difference in years with its interval."""
    return f"{figure['value']:+.3f} ({figure['low']:+.3f} to {figure['high']:+.3f})"
