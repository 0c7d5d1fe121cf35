"""Tuning: many short runs with other values of a recipe, the best of which is a recipe again.

The study is Optuna's (Akiba et al., 2019): tree-structured Parzen estimators propose, and a
trial that stands worse than the median of the others at the same epoch is pruned. The study
is kept in a journal file, so that it can be stopped, resumed, and shared by several workers.
"""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import tomli_w
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import Trial, TrialState
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from rich.progress import Progress

from agelens.data.dataset import Dataset
from agelens.errors import ConfigError, TrainingError
from agelens.training.experiments.stages import prepare
from agelens.training.loop.trainer import Training
from agelens.training.networks import checkpoint
from agelens.training.recipes import library
from agelens.training.recipes.config import Config

JOURNAL = "study.journal"


class Range(BaseModel):
    """The values that one key of a recipe may take: a range, or a list of choices."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: list[str | int | float | bool] = Field(default_factory=list)

    @model_validator(mode="after")
    def _one_of_both(self) -> "Range":
        ranged = self.low is not None and self.high is not None
        if ranged == bool(self.choices):
            raise ValueError("expected either low and high, or choices")
        if self.low is not None and self.high is not None:
            if not self.low < self.high:
                raise ValueError(f"low {self.low} is not below high {self.high}")
            if self.log and self.low <= 0:
                raise ValueError(f"low {self.low} cannot be on a logarithmic scale")
        return self

    def propose(self, trial: Trial, key: str) -> Any:
        """Let a trial choose a value."""
        if self.choices:
            return trial.suggest_categorical(key, self.choices)
        if self.low is None or self.high is None:
            raise ValueError("a range without ends")
        return trial.suggest_float(key, self.low, self.high, log=self.log)


def read_space(source: str | Path, recipe: Config) -> dict[str, Range]:
    """Read a search space, a shipped one by its name or a TOML file by its path.

    It holds lines of "section.key" = {low, high, log} or {choices}. Raises ConfigError for a key
    that the recipe does not know, or a range that is not valid.
    """
    path = library.find(source, library.SPACES)
    space: dict[str, Range] = {}
    for key, entry in library.parse(path).items():
        try:
            space[key] = Range.model_validate(entry)
        except ValidationError as error:
            fault = error.errors()[0]
            raise ConfigError(f"{path}: {key!r}: {fault['msg']}") from error
        low_or_first = space[key].choices[0] if space[key].choices else space[key].low
        changed(recipe, {key: low_or_first}, str(path))
    if not space:
        raise ConfigError(f"{path} names no key to tune")
    return space


def changed(recipe: Config, values: dict[str, Any], source: str = "trial") -> Config:
    """Give a recipe with some values replaced. Raises ConfigError for a key it does not know."""
    table = recipe.table()
    for key, value in values.items():
        section, _, last = key.rpartition(".")
        place = table.get(section) if section else table
        if not isinstance(place, dict):
            raise ConfigError(f"{source}: unknown section {section!r} in {key!r}")
        place[last] = value
    return Config.check(table, source)


def open_study(folder: Path, worker: int = 0) -> optuna.Study:
    """Open the study of a folder, or start one.

    What is proposed next depends on how many trials there are and on the worker: the same seed
    for all would let one that resumes, or works beside another, propose the same again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    journal = str(folder / JOURNAL)
    backend = JournalFileBackend(journal, lock_obj=JournalFileOpenLock(journal))
    study = optuna.create_study(
        study_name="agelens",
        storage=JournalStorage(backend),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
        direction="minimize",
        load_if_exists=True,
    )
    seed = 1000 * len(study.get_trials(deepcopy=False)) + worker
    study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
    return study


def tune(
    recipe: Config,
    space: dict[str, Range],
    data: Path,
    folder: Path,
    trials: int,
    progress: Progress,
    *,
    workers: int = 1,
    on_trial: Callable[[str], None] | None = None,
) -> Path:
    """Run trials until the study has `trials` that ended; give the best recipe's file.

    What the recipe needs, a stage or a teacher, is made first. Besides `best.toml` the folder gets
    `trials.csv` and plots. Each worker is a process with its share of the threads. Raises
    TrainingError when no trial ended.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = open_study(folder)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)  # left by a run that was stopped
    if ended(study) < trials:
        ready = prepare(recipe, data, folder, progress)
        if workers == 1:
            _work(ready, space, data, folder, trials, progress, on_trial)
        else:
            _share(ready, space, data, folder, trials, workers, progress)
    return write_results(open_study(folder), recipe, folder)


def ended(study: optuna.Study) -> int:
    """Count the trials that were completed or pruned."""
    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))


def _work(
    recipe: Config,
    space: dict[str, Range],
    data: Path,
    folder: Path,
    trials: int,
    progress: Progress,
    on_trial: Callable[[str], None] | None = None,
    worker: int = 0,
) -> None:
    dataset = Dataset(data)
    study = open_study(folder, worker)
    task = progress.add_task("trials", total=trials, completed=ended(study))

    def objective(trial: Trial) -> float:
        values = {key: entry.propose(trial, key) for key, entry in space.items()}
        config = changed(recipe, values)
        place = folder / f"trial-{trial.number}"
        place.mkdir(exist_ok=True)

        def report(row: dict[str, float]) -> None:
            trial.report(row["validation_mae"], int(row["epoch"]))
            if trial.should_prune():
                raise optuna.TrialPruned

        try:
            state = Training(config, dataset, place, progress).fit(report)
            trial.set_user_attr(
                "gender_accuracy",
                state.history[state.best_epoch - 1]["validation_gender_accuracy"],
            )
            return state.best_mae
        finally:
            for heavy in place.glob("*.safetensors"):
                heavy.unlink()

    def note(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        progress.update(task, completed=ended(study))
        if ended(study) >= trials:
            study.stop()
        if on_trial:
            end = f"MAE {trial.value:.3f}" if trial.value is not None else "pruned"
            on_trial(f"trial {trial.number}: {end}  {trial.params}")

    study.optimize(objective, callbacks=[note], catch=(TrainingError,))
    progress.remove_task(task)


def _share(
    recipe: Config,
    space: dict[str, Range],
    data: Path,
    folder: Path,
    trials: int,
    workers: int,
    progress: Progress,
) -> None:
    """Let several processes work on one study, each with its share of the threads."""
    threads = max((recipe.run.threads or multiprocessing.cpu_count()) // workers, 1)
    recipe = changed(recipe, {"run.threads": threads})
    spawn = multiprocessing.get_context("spawn")  # a forked torch may hang
    crew = [
        spawn.Process(
            target=_silent_work, args=(recipe, space, data, folder, trials, worker), daemon=True
        )
        for worker in range(workers)
    ]
    task = progress.add_task(f"trials by {workers} workers", total=trials)
    for process in crew:
        process.start()
    try:
        while any(process.is_alive() for process in crew):
            crew[0].join(timeout=1)
            progress.update(task, completed=ended(open_study(folder)))
    finally:
        for process in crew:
            process.terminate()
            process.join()
        progress.remove_task(task)


def _silent_work(
    recipe: Config, space: dict[str, Range], data: Path, folder: Path, trials: int, worker: int
) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    _work(recipe, space, data, folder, trials, Progress(disable=True), worker=worker)


def write_results(study: optuna.Study, recipe: Config, folder: Path) -> Path:
    """Write `best.toml`, `trials.csv` and the plots of a study."""
    try:
        best = study.best_trial
    except ValueError as error:
        raise TrainingError(f"no trial of {folder} came to an end; run it with more") from error
    table = changed(recipe, best.params).table()
    checkpoint.write_text(
        folder / "best.toml",
        f"# Trial {best.number} of {ended(study)}: validation MAE {best.value:.3f} years.\n"
        + tomli_w.dumps(table),
    )
    _write_table(study, folder / "trials.csv")
    _plot(study, folder)
    return folder / "best.toml"


def _write_table(study: optuna.Study, file: Path) -> None:
    import polars as pl

    rows = [
        {
            "trial": trial.number,
            "state": trial.state.name.lower(),
            "validation_mae": trial.value,
            "epochs": trial.last_step,
            "gender_accuracy": trial.user_attrs.get("gender_accuracy"),
            "seconds": trial.duration.total_seconds() if trial.duration else None,
            **trial.params,
        }
        for trial in study.get_trials(deepcopy=False)
    ]
    partial = file.with_name(file.name + ".part")
    pl.DataFrame(rows, infer_schema_length=None).write_csv(partial)
    partial.replace(file)


def _plot(study: optuna.Study, folder: Path) -> None:
    """Draw the study's history, and its importances where there are enough trials."""
    import warnings

    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as plots

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # these plots are marked experimental
        plots.plot_optimization_history(study, target_name="validation MAE in years")
        pyplot.savefig(folder / "history.svg", bbox_inches="tight")
        pyplot.close("all")
        done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if len(done) >= 4 and len({trial.value for trial in done}) > 1:
            plots.plot_param_importances(study)
            pyplot.savefig(folder / "importances.svg", bbox_inches="tight")
            pyplot.close("all")
