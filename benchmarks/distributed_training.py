"""Does training on two workers give the curve of one? On UTKFace, a tenth of the faces, two epochs.

    python benchmarks/distributed_training.py --data utkface [--recipe RECIPE] [--output FILE]

Trains the recipe at a small size once with one worker and once with two on Ray Train (the extra
scale must be there): the same seed, the same batches. Writes results/distributed_training.json:
each epoch's validation figures of both, and how far apart they are. Ends with 1
when the validation MAE is more than 0.1 years apart at the end.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from agelens import provenance

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks/results/distributed_training.json"
APART = 0.1  # years, at most
SETTINGS = (
    "data.share=0.1", "schedule.epochs=2", "schedule.ema=0.9", "model.size=96", "run.threads=1",
)  # fmt: skip
FIGURES = ("train_loss", "validation_loss", "validation_mae", "validation_gender_accuracy")


def main() -> int:
    """Train both, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", default="finetune", help="a name or a TOML file")
    parser.add_argument("--output", type=Path, default=RESULT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = {count: train(given.recipe, given.data, Path(folder, str(count)), count)
                for count in (1, 2)}  # fmt: skip
    apart = abs(runs[1][-1]["validation_mae"] - runs[2][-1]["validation_mae"])
    record = {
        "question": "does training on two workers give the curve of one",
        "command": provenance.command(
            ["python", "benchmarks/distributed_training.py", *sys.argv[1:]]
        ),
        "date": provenance.now(),
        "machine": provenance.machine(),
        "versions": provenance.versions(),
        "recipe": given.recipe,
        "settings": SETTINGS,
        "epochs": {f"{count} worker{'s' * (count > 1)}": rows for count, rows in runs.items()},
        "mae_apart_at_the_end": round(apart, 4),
        "limit": APART,
    }
    aside = given.output.with_suffix(".part")
    aside.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    aside.replace(given.output)
    print(json.dumps(record["epochs"], indent=2), f"apart: {apart:.4f} years", sep="\n")
    return 0 if apart <= APART else 1


def train(recipe: str, data: Path, run: Path, workers: int) -> list[dict[str, float]]:
    """Train once; give the figures of each epoch."""
    words = [sys.executable, "-m", "agelens", "train", recipe, "--data", str(data)]
    words += ["--run", str(run), "--workers", str(workers)]
    words += [word for setting in SETTINGS for word in ("--set", setting)]
    subprocess.run(words, check=True)
    with (run / "history.csv").open(encoding="utf-8") as file:
        return [{key: float(row[key]) for key in FIGURES} for row in csv.DictReader(file)]


if __name__ == "__main__":
    sys.exit(main())
