"""What is each part of a recipe worth? One change at a time, the same faces and epochs.

python benchmarks/ablations.py benchmarks/plans/scratch.toml --data utkface --work DIR

The file names a recipe, what all trials share, and the variations, each with what it changes.
Figures are of the validation folds. A trial that stands in the record is not run again; one
that was stopped goes on from its last epoch. Writes benchmarks/results/ablations-NAME.json.
"""

import json
import tomllib
from pathlib import Path
from typing import Any

import record
from agelens.cli.console import bar
from agelens.data.dataset import Dataset
from agelens.training.loop.trainer import Trainer
from agelens.training.recipes.config import Config

FIGURES = (
    "validation_mae", "validation_mae_of_mean", "validation_cs5", "validation_gender_accuracy",
    "validation_loss",
)  # fmt: skip


def main() -> None:
    """Run the trials that are missing, and write the record after each."""
    parser = record.parser(__doc__, data=True, threads=1)
    parser.set_defaults(output=None)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--only", nargs="*", help="names of the trials to run")
    given = parser.parse_args()
    plan = tomllib.loads(given.plan.read_text("utf-8"))
    given.output = given.output or record.RESULTS / f"ablations-{plan['name']}.json"
    done = json.loads(given.output.read_text("utf-8"))["trials"] if given.output.is_file() else {}
    dataset = Dataset(given.data)
    command = f"python benchmarks/ablations.py benchmarks/plans/{given.plan.name} --data utkface"
    about = {
        "command": command, "recipe": plan["recipe"], "shared": plan["shared"],
        "part": "validation folds of split 0",
    }  # fmt: skip
    with bar() as progress:
        for name, trial in {"baseline": {}, **plan["trials"]}.items():
            if name in done or (given.only and name not in given.only):
                continue
            changes = trial.get("set", {})
            shared = {"run.threads": given.threads, **plan["shared"]}
            config = Config.read(plan["recipe"], {**shared, **changes})
            folder = given.work / plan["name"] / name
            folder.mkdir(parents=True, exist_ok=True)
            trainer = Trainer(config, dataset, folder, progress)
            if (folder / "last.safetensors").is_file():
                trainer.resume()
            about_trial = {"about": trial.get("about", plan["baseline"]), "set": changes}
            done[name] = about_trial | fit(trainer)
            record.write(given, {**about, "trials": done})
            for heavy in folder.glob("*.safetensors"):
                heavy.unlink()
            print(f"{name}: {json.dumps(done[name])}", flush=True)


def fit(trainer: Trainer) -> dict[str, Any]:
    """Train to the end and return the figures of the best epoch."""
    state = trainer.fit()
    best = state.history[state.best_epoch - 1]
    return {
        **{key: round(best[key], 4) for key in FIGURES},
        "best_epoch": state.best_epoch, "epochs": len(state.history),
        "train_faces": len(trainer.train_loader.ages),
        "train_seconds": round(sum(row["train_seconds"] for row in state.history)),
        "parameters": sum(p.numel() for p in trainer.network.parameters()),
    }  # fmt: skip


if __name__ == "__main__":
    main()
