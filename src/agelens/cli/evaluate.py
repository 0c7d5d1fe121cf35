"""`agelens evaluate`: how good models are, on faces they have not seen."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agelens.cli import console, options

if TYPE_CHECKING:
    from agelens.evaluation.evaluate import Evaluation


def evaluate(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...", help="Shipped models by name, run folders, or ONNX files."
        ),
    ],
    data: options.Data,
    split: Annotated[int, typer.Option(min=0, max=4, help="The split, 0 to 4.")] = 0,
    part: Annotated[
        str, typer.Option(help="The faces to use: test, validation, train or all.")
    ] = "test",
    flip: options.Flip = None,
    pipeline: Annotated[
        bool,
        typer.Option("--pipeline", help="Detect and align the faces first; count the missed ones."),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The folder to write; with several models, one subfolder for each "
            "(default: RUN/evaluation-... for run folders, evaluation/NAME-... for others).",
        ),
    ] = None,
    threads: options.Threads = None,
) -> None:
    """Measure models on the test faces of a dataset, overall and by group.

    Writes one folder per model with `predictions.parquet`, one row per face, and
    `evaluation.json`, every figure with its 95 % confidence interval. Several models are compared
    with the first one, face by face.

    [bold]Examples[/]

      agelens evaluate default --data utkface
      agelens evaluate runs/finetune runs/scratch --data utkface --split 0 --flip
      agelens evaluate my.onnx --data utkface --pipeline --output checked
    """

    options.need("data", "polars")

    from agelens.evaluation.evaluate import PARTS, Evaluator, Plan, evaluation_folders, model_name
    from agelens.inference.runtime import Model

    if part not in PARTS:
        raise typer.BadParameter(f"{part!r}: expected {', '.join(PARTS)}", param_hint="--part")
    plan = Plan(data, split, part, flip, pipeline, threads)  # type: ignore[arg-type]
    loaded = [Model(model, threads) for model in models]
    folders = evaluation_folders(loaded, plan, output)
    evaluator = Evaluator(plan, console.command_line())
    done = []
    with console.bar() as progress:
        for model, folder in zip(loaded, folders, strict=True):
            task = progress.add_task(model_name(model), total=len(evaluator))

            def report(name: str, faces: int, total: int, task: Any = task) -> None:
                progress.update(task, completed=faces, total=total, description=name)

            done.append(evaluator.run(model, folder, model_name(model), report))
            progress.remove_task(task)
    _print(done)
    for one in done:
        console.result(one.folder / "evaluation.json")


_YEARS, _SHARE, _PLAIN = "{:.2f}", "{:.1%}", "{:.3f}"
_ROWS = (  # title, subset, figure, form
    ("age MAE, years", "all", "age_mae", _YEARS),
    ("age MAE, of the mean", "all", "age_mae_of_mean", _YEARS),
    ("age MAE, 21-60", "21-60", "age_mae", _YEARS),
    ("age median error", "all", "age_median_error", _YEARS),
    ("age RMSE", "all", "age_rmse", _YEARS),
    ("age bias", "all", "age_bias", "{:+.2f}"),
    ("CS@5, within 5 years", "all", "age_within_5", _SHARE),
    ("age group, Adience", "all", "age_group_accuracy_adience", _SHARE),
    ("age group, FairFace", "all", "age_group_accuracy_fairface", _SHARE),
    ("gender accuracy", "all", "gender_accuracy", _SHARE),
    ("gender accuracy, 13 and older", "13 and older", "gender_accuracy", _SHARE),
    ("gender accuracy, under 13", "under 13", "gender_accuracy", _SHARE),
    ("gender AUC", "all", "gender_auc", _PLAIN),
    ("gender ECE", "all", "gender_ece", _PLAIN),
    ("interval coverage", "all", "interval_coverage", _SHARE),
    ("interval width, years", "all", "interval_width", "{:.1f}"),
    ("loss", "all", "loss", _PLAIN),
)
_COMPARED = (("age MAE", "age_mae", "{:+.2f}"), ("gender accuracy", "gender_accuracy", "{:+.1%}"))


def _print(done: list["Evaluation"]) -> None:
    """Print the headline figures, one column for each model."""
    first = done[0].table
    data = first["data"]
    folds = "" if data["part"] == "all" else f"{data['part']} folds of split {data['split']}, "
    title = f"{folds}{first['faces']:,} faces, with 95 % intervals"
    subsets = [one.table["subsets"] for one in done]
    rows: list[list[str] | None] = [
        [title, *(_cell(one[subset].get("figures", {}).get(figure), form) for one in subsets)]
        for title, subset, figure, form in _ROWS
    ]
    if "missed" in first:
        missed = [one.table["missed"] for one in done]
        rows.append(
            ["faces missed", *(f"{m['faces']:,} {_cell(m['share'], _SHARE)}" for m in missed)]
        )
    if len(done) > 1:
        rows.append(None)
        gaps = [one.table["difference"]["figures"] for one in done[1:]]
        for name, figure, form in _COMPARED:
            cells = (_cell(gap[figure], form) for gap in gaps)
            rows.append([f"{name} against {done[0].name}", "", *cells])
    models = [f"{one.name}{', flip' if one.table['flip'] else ''}" for one in done]
    table: list[Any] = [None if row is None else (row, {}) for row in rows]
    console.table(["", *models], {}, table, title=title, title_justify="left")


def _cell(figure: dict[str, float | None] | None, form: str) -> str:
    if figure is None or figure["value"] is None:
        return "-"
    text = form.format(figure["value"])
    if figure["low"] is None or figure["high"] is None:
        return text
    return f"{text} \\[{form.format(figure['low'])}, {form.format(figure['high'])}]"
