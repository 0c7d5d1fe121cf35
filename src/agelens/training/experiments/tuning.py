"""Search for better values of a recipe by many short runs; the best is a recipe again.

Optuna's tree-structured Parzen estimators (Akiba et al., 2019) propose values; a trial that is
worse than the median of the others at the same epoch is pruned. A journal file keeps the study, so
that it can be stopped, resumed, and shared by several workers.
"""

import math
import multiprocessing
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import polars as pl
import tomli_w
from matplotlib import pyplot
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState
from optuna.visualization import matplotlib as plots
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from rich.progress import Progress

from agelens.data.dataset import Dataset
from agelens.data.storage import write_atomic
from agelens.errors import ConfigError, TrainingError
from agelens.training.experiments.stages import prepare
from agelens.training.loop.trainer import Trainer
from agelens.training.recipes import library
from agelens.training.recipes.config import Config

JOURNAL = "study.journal"
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
Space = dict[str, "Range"]
Report = Callable[[str], None]


class Range(BaseModel):
    """The values that one key of a recipe may take: a range, or a list of choices."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float = math.nan
    high: float = math.nan
    log: bool = False
    choices: list[str | int | float | bool] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_of_both(self) -> "Range":
        ranged = not (math.isnan(self.low) or math.isnan(self.high))
        if ranged == bool(self.choices):
            raise ValueError("expected either low and high, or choices")
        if ranged and not self.low < self.high:
            raise ValueError(f"low {self.low} is not below high {self.high}")
        if ranged and self.log and self.low <= 0:
            raise ValueError(f"low {self.low} cannot be on a logarithmic scale")
        return self

    def propose(self, trial: Trial, key: str) -> Any:
        """Let a trial choose a value."""
        if self.choices:
            return trial.suggest_categorical(key, self.choices)
        return trial.suggest_float(key, self.low, self.high, log=self.log)


def read_space(source: str | Path, recipe: Config) -> Space:
    """Read a search space, a shipped one by its name or a TOML file by its path.

    It holds lines of "section.key" = {low, high, log} or {choices}. Raises ConfigError for a key
    that the recipe does not know, or a range that is not valid.
    """
    path = library.find(source, library.SPACES)
    space: Space = {}
    for key, entry in library.parse(path).items():
        try:
            space[key] = Range.model_validate(entry)
        except ValidationError as error:
            fault = error.errors()[0]
            raise ConfigError(f"{path}: {key!r}: {fault['msg']}") from error
        recipe.changed({key: [*space[key].choices, space[key].low][0]}, str(path))
    if not space:
        raise ConfigError(f"{path} names no key to tune")
    return space


def tune(
    recipe: Config, space: Space, data: Path, folder: Path, trials: int, progress: Progress, *,
    workers: int = 1, on_trial: Report | None = None,
) -> Path:  # fmt: skip
    """Run trials until the study has `trials` that ended; return the best recipe's file.

    What the recipe needs, a stage or a teacher, is made first. Besides `best.toml` the folder gets
    `trials.csv` and plots. Each worker is a process with its share of the threads. Raises
    TrainingError when no trial ended.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = _open_study(folder)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)  # left by a run that was stopped
    if _ended(study) < trials:
        ready = prepare(recipe, data, folder, progress)
        if workers == 1:
            _run_trials(ready, space, data, folder, trials, progress, on_trial)
        else:
            _run_in_processes(workers, progress, ready, space, data, folder, trials)
    return _write_results(_open_study(folder), recipe, folder)


def _open_study(folder: Path, worker: int = 0) -> optuna.Study:
    folder.mkdir(parents=True, exist_ok=True)
    journal = str(folder / JOURNAL)
    backend = JournalFileBackend(journal, lock_obj=JournalFileOpenLock(journal))
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1)
    study = optuna.create_study(
        storage=JournalStorage(backend), pruner=pruner, study_name="agelens", load_if_exists=True
    )
    # another seed each time, so that no worker, nor a resumed study, proposes the same again
    seed = 1000 * len(study.get_trials(deepcopy=False)) + worker
    study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    return study


def _ended(study: optuna.Study) -> int:
    return len(study.get_trials(deepcopy=False, states=ENDED))


def _run_trials(
    recipe: Config, space: Space, data: Path, folder: Path, trials: int,
    progress: Progress | None = None, on_trial: Report | None = None, worker: int = 0,
) -> None:  # fmt: skip
    """Run trials until the study, which other processes may share, has enough."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # of another process too
    progress = progress or Progress(disable=True)  # one cannot be sent to another process
    dataset, study = Dataset(data), _open_study(folder, worker)
    task = progress.add_task("trials", total=trials, completed=_ended(study))

    def objective(trial: Trial) -> float:
        values = {key: entry.propose(trial, key) for key, entry in space.items()}
        run = folder / f"trial-{trial.number}"
        run.mkdir(exist_ok=True)

        def report(row: dict[str, float]) -> None:
            trial.report(row["validation_mae"], int(row["epoch"]))
            if trial.should_prune():
                raise optuna.TrialPruned

        try:
            state = Trainer(recipe.changed(values, "trial"), dataset, run, progress).fit(report)
            best = state.history[state.best_epoch - 1]
            trial.set_user_attr("gender_accuracy", best["validation_gender_accuracy"])
            return state.best_mae
        finally:
            for file in run.glob("*.safetensors"):
                file.unlink()

    def finish(study: optuna.Study, trial: FrozenTrial) -> None:
        progress.update(task, completed=_ended(study))
        if on_trial:
            result = f"MAE {trial.value:.3f}" if trial.value is not None else "pruned"
            on_trial(f"trial {trial.number}: {result}  {trial.params}")

    enough = optuna.study.MaxTrialsCallback(trials, states=ENDED)
    study.optimize(objective, callbacks=[finish, enough], catch=(TrainingError,))
    progress.remove_task(task)


def _run_in_processes(
    workers: int, progress: Progress, recipe: Config, space: Space, data: Path, folder: Path,
    trials: int,
) -> None:  # fmt: skip
    threads = max((recipe.run.threads or multiprocessing.cpu_count()) // workers, 1)
    shared = recipe.changed({"run.threads": threads}, "threads"), space, data, folder, trials
    spawn = multiprocessing.get_context("spawn")  # a forked torch may hang
    processes = [
        spawn.Process(target=_run_trials, args=shared, kwargs={"worker": worker}, daemon=True)
        for worker in range(workers)
    ]
    task = progress.add_task(f"trials by {workers} workers", total=trials)
    for process in processes:
        process.start()
    try:
        while any(process.is_alive() for process in processes):
            processes[0].join(timeout=1)
            progress.update(task, completed=_ended(_open_study(folder)))
    finally:
        for process in processes:
            process.terminate()
            process.join()
        progress.remove_task(task)


def _write_results(study: optuna.Study, recipe: Config, folder: Path) -> Path:
    trials = study.get_trials(deepcopy=False)
    complete = [trial.value for trial in trials if trial.state == TrialState.COMPLETE]
    if not complete:
        raise TrainingError(f"no trial of {folder} was completed: run it with more trials")
    best = study.best_trial
    summary = f"# Trial {best.number} of {_ended(study)}: validation MAE {best.value:.3f} years.\n"
    table = recipe.changed(best.params, "trial").table()
    write_atomic(folder / "best.toml", (summary + tomli_w.dumps(table)).encode())
    rows = [
        {"trial": trial.number, "state": trial.state.name.lower(), "validation_mae": trial.value,
         "epochs": trial.last_step, "gender_accuracy": trial.user_attrs.get("gender_accuracy"),
         "seconds": trial.duration.total_seconds() if trial.duration else None, **trial.params}
        for trial in trials
    ]  # fmt: skip
    csv = pl.DataFrame(rows, infer_schema_length=None).write_csv()
    write_atomic(folder / "trials.csv", csv.encode())
    pyplot.switch_backend("Agg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these plots are marked experimental
        plots.plot_optimization_history(study, target_name="validation MAE in years")
        pyplot.savefig(folder / "history.svg", bbox_inches="tight")
        if len(complete) >= 4 and len(set(complete)) > 1:
            plots.plot_param_importances(study)
            pyplot.savefig(folder / "importances.svg", bbox_inches="tight")
        pyplot.close("all")
    return folder / "best.toml"
