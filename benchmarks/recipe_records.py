"""Write what `agelens recipes` shows of the recorded runs: minutes, validation figures.

python benchmarks/recipe_records.py            # write
python benchmarks/recipe_records.py --check    # fail when the file differs from the runs
"""

import json
import sys

import tables
from agelens.training.recipes import library
from agelens.training.recipes.config import Config

RECORDED = library.FOLDER / "recorded.json"
RUNS = {"scratch-narrow": "scratch", "scratch": None}  # where a run has not its recipe's name
SMALL = {"fast": "fast-int8"}  # the run of a recipe's 8-bit variant


def main() -> None:
    """Write the file, or check it."""
    current = RECORDED.read_text("utf-8") == recorded()
    if not current and "--check" in sys.argv:
        sys.exit(f"{RECORDED.name}: run  python benchmarks/recipe_records.py")
    RECORDED.write_text(recorded(), "utf-8")


def recorded() -> str:
    """Return the text of the JSON file that ships beside the recipes."""
    recipes = {}
    for name in library.names():
        config = Config.read(name)
        figures = _figures(name, config)
        minutes = [_minutes(one) for one in (*config.stages, *([] if config.combine else [name]))]
        if figures and None not in minutes:
            recipes[name] = {"minutes": round(sum(m for m in minutes if m)), **figures}
    machine = tables.evaluation("hybrid")["machine"]["processor"]
    table = {"machine": f"one or two threads of {machine}", "recipes": recipes}
    return json.dumps(table, indent=2) + "\n"


def _find(name: str, file: str) -> str:
    """Return the path of a run's file below the repository's root; empty where there is none."""
    run = RUNS.get(name, name)
    paths = (f"runs/{run}/{file}", f"runs/protocol/{run}/split-0/{file}")
    return next((path for path in paths if (tables.ROOT / path).is_file()), "")


def _minutes(name: str) -> float | None:
    path = _find(name, "history.csv")
    return sum(row["train_seconds"] for row in tables.rows(path)) / 60 if path else None


def _figures(name: str, config: Config) -> dict[str, float] | None:
    path = _find(SMALL[name] if config.quantize else name, "run.json")
    about = tables.read(path) if path else {}
    best = about.get("best")
    if config.combine:
        best = min(about["ways"], key=lambda way: way["validation_mae"])
    elif config.quantize:
        best = next(one for one in about["tries"] if about["chosen"].items() <= one.items())
    if not best:
        return None
    return {
        "mae": round(best["validation_mae"], 3),
        "gender": round(best["validation_gender_accuracy"], 4),
    }


if __name__ == "__main__":
    main()
