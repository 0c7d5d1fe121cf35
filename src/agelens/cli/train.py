"""`agelens train`, `tune` and `benchmark`: from a recipe and a dataset to trained models."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from agelens.cli import console, options
from agelens.errors import require

if TYPE_CHECKING:
    from agelens.training.experiments.stages import Stage, Trainer
    from agelens.training.recipes.config import Config


EPOCH = (
    "epoch {epoch:>3.0f}  loss {train_loss:.3f}  validation loss {validation_loss:.3f}  "
    "MAE {validation_mae:.3f}  CS@5 {validation_cs5:.1%}  gender {validation_gender_accuracy:.1%}  "
    "{train_seconds:.0f} s, {faces_per_second:.0f} faces/s"
)
BEST = (
    "best epoch {epoch:.0f}: validation MAE {validation_mae:.3f} years, "
    "CS@5 {validation_cs5:.1%}, gender accuracy {validation_gender_accuracy:.1%}"
)
SPLIT = "split {split}: MAE {age_mae:.3f}, CS@5 {age_within_5:.1%}, gender {gender_accuracy:.1%}"


def train(
    data: options.Data,
    recipe: options.Recipe = None,
    run: Annotated[
        Path | None, Option(help="The run folder to write (default: runs/NAME).")
    ] = None,
    config: options.Config = None,
    resume: Annotated[
        bool, Option(help="Continue a run that was stopped; this is always done.")
    ] = False,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Show the stages and what each needs; train nothing.")
    ] = False,
    workers: Annotated[int, Option(
        "--workers", "-w", min=1,
        help="Processes that share each batch, with Ray (extra `scale`; experimental).",
    )] = 1,
    address: options.RayAddress = None,
    exclude: Annotated[Path | None, Option(
        help="An actions.csv from `agelens data audit`: leave out the faces it excludes.",
    )] = None,
    downweight: Annotated[Path | None, Option(
        help="An actions.csv or weights.csv with a weight for each training face.",
    )] = None,
    change: options.Changes = None,
) -> None:  # fmt: skip
    """Train a recipe, with every stage it needs, and export the model.

    Finished stages are skipped, and a run that was stopped continues when the same command is
    given again. --set stages.NAME.section.key=value changes one stage.

    [bold]Examples[/]

      agelens train hybrid --data utkface
      agelens train hybrid --data utkface --dry-run
      agelens train tiny --data utkface --run runs/try --set data.share=0.1
      agelens train mine.toml --data utkface --exclude audit/actions.csv
      agelens train scratch --data utkface --run runs/two --workers 2
    """
    options.need_train()
    shared = workers > 1 or address is not None
    if shared:
        require("scale", "ray")
    from agelens.training.experiments import stages

    files = {"data.exclude": exclude, "data.downweight": downweight}
    given = {key: str(file) for key, file in files.items() if file is not None}
    checked = read(recipe, config, change, given)
    run = run or Path("runs", checked.name)
    planned = stages.plan(checked, data, run)
    if dry_run:
        _show(planned, data)
        return
    trainer: dict[str, Trainer] = {}
    if shared:
        from agelens.training.experiments import ray_workers

        trainer["train"] = partial(ray_workers.train, workers=workers, address=address)
    with console.bar() as progress:
        about = stages.run(
            planned, data, progress, on_stage=console.note,
            on_epoch=lambda row: console.note(EPOCH.format(**row)), **trainer,
        )  # fmt: skip
    if best := about.get("best"):
        console.note(BEST.format(**best))
    console.result(run / "model.onnx")


def tune(
    data: options.Data,
    recipe: options.Recipe = None,
    space: Annotated[
        str, Option(help="What may change: space, space-frozen, or a TOML file.")
    ] = "space",
    run: Annotated[Path | None, Option(
        help="The study folder; an existing study continues (default: runs/tune-NAME).",
    )] = None,
    config: options.Config = None,
    trials: Annotated[int, Option(min=1, help="Total number of trials in the study.")] = 20,
    workers: Annotated[int, Option(min=1, help="Processes that share the cores.")] = 1,
    change: options.Changes = None,
) -> None:  # fmt: skip
    """Search for better hyperparameters of a recipe on the validation folds.

    Writes best.toml, trials.csv and plots. Run the same command again to continue a study that
    was stopped.

    [bold]Examples[/]

      agelens tune frozen-dlib --space space-frozen --data utkface
      agelens tune finetune --data utkface --trials 20 --set data.share=0.33 \\
        --set schedule.epochs=3
    """
    options.need_train("optuna", "tomli_w", "matplotlib")
    from agelens.training.experiments import tuning

    checked = read(recipe, config, change)
    ranges = tuning.read_space(space, checked)
    run = run or Path("runs", f"tune-{checked.name}")
    with console.bar() as progress:
        best = tuning.tune(
            checked, ranges, data, run, trials, progress, workers=workers, on_trial=console.note
        )
    console.note(best.read_text("utf-8").splitlines()[0].removeprefix("# "))
    console.result(best)


COLUMNS = {
    "MAE": ("age_mae", ".3f"), "CS@5": ("age_within_5", ".2%"),
    "MAE 21-60": ("age_mae_21_60", ".3f"), "gender": ("gender_accuracy", ".2%"),
    "gender from 13": ("gender_accuracy_13", ".2%"),
}  # fmt: skip


def benchmark(
    data: options.Data,
    run: Annotated[Path, Option(help="The folder that holds the runs of all splits.")],
    config: Annotated[Path | None, Option(help="The recipe to train, a TOML file.")] = None,
    members: Annotated[list[Path] | None, Option(
        "--combine", help="Instead of a recipe: combine other such RUNs (repeatable).",
    )] = None,
    protocol: Annotated[str, Option(help="Only five-splits so far.")] = "five-splits",
    splits: Annotated[
        list[int] | None, Option("--split", min=0, max=4, help="Only this split (repeatable).")
    ] = None,
    flip: Annotated[bool, Option(help="Average each face with its mirror image.")] = True,
    change: options.Changes = None,
) -> None:  # fmt: skip
    """Train and evaluate a model on each of five splits: mean and standard deviation.

    Writes RUN/protocol.json. Run the same command again to continue after a stop.

    [bold]Examples[/]

      agelens benchmark --config concat --data utkface --run runs/protocol/concat

      agelens benchmark --combine runs/a --combine runs/b --data utkface --run runs/both
    """
    options.need_train()
    from agelens.training.experiments.cross_validation import five_splits
    from agelens.training.recipes.config import Config

    options.one_of(protocol, ["five-splits"], "--protocol")
    if (config is None) == (not members):
        raise typer.BadParameter("expected either --config or --combine", param_hint="--config")
    if members and change:
        message = "--set changes a recipe: give it with --config"
        raise typer.BadParameter(message, param_hint="--set")
    wanted = {"splits": sorted(set(splits))} if splits else {}
    recipe = Config.read(config, overrides(change or [])) if config else None
    source: Any = recipe or members
    name = recipe.name if recipe else " + ".join(member.name for member in source)

    with console.bar() as progress:
        about = five_splits(
            source, data, run, progress, flip=flip, command=console.command_line(),
            on_split=lambda row: console.note(SPLIT.format(**row)), **wanted,
        )  # fmt: skip
    rows: list[Any] = [(str(row["split"]), row) for row in about["splits"]]
    rows += [None, ("mean", about["mean"])]
    if len(about["splits"]) > 1:
        rows.append(("s.d.", about["standard_deviation"]))
    title = f"{name}, test folds{', flip' if flip else ''}"
    console.table(["split"], rows, COLUMNS, title=title)
    console.result(run / "protocol.json")


def read(
    recipe: str | None, config: str | None = None, change: list[str] | None = None,
    changes: dict[str, Any] | None = None,
) -> "Config":  # fmt: skip
    """Read a recipe, or the deprecated --config, with the changes of --set and then `changes`."""
    from agelens.training.recipes import library
    from agelens.training.recipes.config import Config

    if (recipe is None) == (config is None):
        raise typer.BadParameter(
            "expected the name or file of one recipe; `agelens recipes` lists the shipped ones",
            param_hint="RECIPE",
        )
    if config is not None:
        console.warn("--config is deprecated: give the recipe without it")
    source = recipe or config or ""
    if new := library.renamed(source):
        console.warn(f"the recipe {source!r} is now called {new!r}")
    return Config.read(source, overrides(change or []) | (changes or {}))


def _show(stages: "list[Stage]", data: Path) -> None:
    from agelens.data.dataset import Dataset
    from agelens.training.experiments.stages import has_teacher

    dataset = Dataset(data)
    rows = []
    for number, stage in enumerate(stages, 1):
        needs = ", ".join(stage.needs) or "random weights"
        if stage.teacher and not has_teacher(stage, dataset):
            needs += " (to be made)"
        rows.append((f"{number} {stage.name}", str(stage.folder), needs, stage.state))
    console.table(["stage", "run folder", "made from", "state"], rows)


def overrides(changes: list[str]) -> dict[str, Any]:
    """Read `section.key=value` words, the values as TOML; a bare word is a string."""
    import tomllib

    values: dict[str, Any] = {}
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{change!r}: expected section.key=value", param_hint="--set")
        try:
            values[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            values[key] = text  # a bare word is a string
    return values
