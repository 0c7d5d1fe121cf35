"""Does training on two workers give the curve of one? On UTKFace, a tenth of the faces, two epochs.

    python benchmarks/distributed_training.py --data utkface [--recipe RECIPE]

Trains the recipe at a small size once with one worker and once with two on Ray Train (needs the
extra `scale`): the same seed, the same batches. Writes results/distributed_training.json: each
epoch's validation figures of both, and how far apart they are. The exit status is 1 when the
validation MAE is more than 0.1 years apart at the end.
"""

import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import record

MOST_APART = 0.1  # years
SETTINGS = (
    "data.share=0.1", "schedule.epochs=2", "schedule.ema=0.9", "model.size=96", "run.threads=1",
)  # fmt: skip
FIGURES = ("train_loss", "validation_loss", "validation_mae", "validation_gender_accuracy")


def main() -> int:
    """Train both, print and write."""
    given = record.parser(__doc__, data=True, recipe="finetune").parse_args()
    with tempfile.TemporaryDirectory() as folder:
        one, two = (train(given.recipe, given.data, Path(folder), count) for count in (1, 2))
    apart = abs(one[-1]["validation_mae"] - two[-1]["validation_mae"])
    figures = {
        "recipe": given.recipe, "settings": SETTINGS,
        "epochs": {"1 worker": one, "2 workers": two},
        "mae_apart_at_the_end": round(apart, 4), "limit": MOST_APART,
    }  # fmt: skip
    record.show(record.write(given, figures))
    return 0 if apart <= MOST_APART else 1


def train(recipe: str, data: Path, folder: Path, workers: int) -> list[dict[str, float]]:
    """Train once and return the figures of each epoch."""
    run = folder / str(workers)
    words = [sys.executable, "-m", "agelens", "train", recipe, "--data", str(data)]
    words += ["--run", str(run), "--workers", str(workers)]
    words += [word for setting in SETTINGS for word in ("--set", setting)]
    subprocess.run(words, check=True)
    with (run / "history.csv").open(encoding="utf-8") as file:
        return [{key: float(row[key]) for key in FIGURES} for row in csv.DictReader(file)]


if __name__ == "__main__":
    sys.exit(main())
