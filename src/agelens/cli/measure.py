"""`agelens evaluate`, `report`, `card` and `audit-model`: how good models are, and pages of it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from agelens.cli import console, options
from agelens.errors import require


def evaluate(
    models: Annotated[list[str], Argument(
        metavar="MODEL...", help="Shipped models by name, run folders, or ONNX files.",
    )],
    data: options.Data,
    split: Annotated[int, Option(min=0, max=4, help="The split, 0 to 4.")] = 0,
    part: Annotated[
        str, Option(help="The faces to use: test, validation, train or all.")
    ] = "test",
    flip: options.Flip = None,
    pipeline: Annotated[
        bool, Option("--pipeline", help="Detect and align the faces first; count the missed ones.")
    ] = False,
    output: Annotated[Path | None, Option(
        "--output", "-o",
        help="The folder to write; with several models, one subfolder for each "
        "(default: RUN/evaluation-... for run folders, evaluation/NAME-... for others).",
    )] = None,
    threads: options.Threads = None,
) -> None:  # fmt: skip
    """Measure models on the test faces of a dataset, overall and by group.

    Writes one folder per model with `predictions.parquet`, one row per face, and
    `evaluation.json`, every figure with its 95 % confidence interval. Several models are compared
    with the first one, face by face.

    [bold]Examples[/]

      agelens evaluate default --data utkface
      agelens evaluate runs/finetune runs/scratch --data utkface --split 0 --flip
      agelens evaluate my.onnx --data utkface --pipeline --output checked
    """
    require("data", "polars")
    from agelens.evaluation.evaluate import PARTS, Evaluator, model_name
    from agelens.inference.runtime import Model

    options.one_of(part, PARTS, "--part")
    loaded = [Model(model, threads) for model in models]
    evaluator = Evaluator(data, split, part, flip, pipeline, threads, console.command_line())  # type: ignore[arg-type]
    folders = evaluator.folders(loaded, output)
    done = []
    with console.bar() as progress:
        for model, folder in zip(loaded, folders, strict=True):
            task = progress.add_task(model_name(model), total=len(evaluator))

            def report(name: str, faces: int, total: int, task: Any = task) -> None:
                progress.update(task, completed=faces, total=total, description=name)

            done.append(evaluator.run(model, folder, model_name(model), report))
            progress.remove_task(task)
    _print_figures(done)
    for folder in folders:
        console.result(folder / "evaluation.json")


_YEARS, _SHARE, _PLAIN = "{:.2f}", "{:.1%}", "{:.3f}"
_ROWS = (  # heading, subset, figure, form
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


def _print_figures(done: list[dict[str, Any]]) -> None:
    first, data = done[0], done[0]["data"]
    folds = "" if data["part"] == "all" else f"{data['part']} folds of split {data['split']}, "
    title = f"{folds}{first['faces']:,} faces, with 95 % intervals"
    subsets = [one["subsets"] for one in done]
    rows: list[list[str] | None] = [
        [heading, *(_cell(one[subset].get("figures", {}).get(figure), form) for one in subsets)]
        for heading, subset, figure, form in _ROWS
    ]
    if "missed" in first:
        missed = (one["missed"] for one in done)
        cells = (f"{one['faces']:,} {_cell(one['share'], _SHARE)}" for one in missed)
        rows.append(["faces missed", *cells])
    if len(done) > 1:
        rows.append(None)
        gaps = [one["difference"]["figures"] for one in done[1:]]
        for name, figure, form in _COMPARED:
            cells = (_cell(gap[figure], form) for gap in gaps)
            rows.append([f"{name} against {first['model']['name']}", "", *cells])
    models = [one["model"]["name"] + ", flip" * one["flip"] for one in done]
    console.table(["", *models], rows, title=title, title_justify="left")


def _cell(figure: dict[str, float | None] | None, form: str) -> str:
    if figure is None or figure["value"] is None:
        return "-"
    text = form.format(figure["value"])
    if figure["low"] is None or figure["high"] is None:
        return text
    return f"{text} \\[{form.format(figure['low'])}, {form.format(figure['high'])}]"


def report(
    evaluations: Annotated[list[str], Argument(
        metavar="EVALUATION...",
        help="Evaluation folders from `agelens evaluate`; NAME=FOLDER renames the model.",
    )],
    output: options.Output,
    data: Annotated[Path | None, Option(
        help="The dataset folder: adds image quality, the worst errors and saliency.",
    )] = None,
    models: Annotated[list[str] | None, Option(
        "--model", "-m", help="The model file for saliency, if it is not next to its evaluation.",
    )] = None,
    saliency_faces: options.SaliencyFaces = 32,
    threads: options.Threads = None,
) -> None:  # fmt: skip
    """Write an evaluation report as one HTML page, Markdown and JSON.

    The report shows how accurate a model is, where it fails, for which groups it fails, and how
    certain that is. Several models that were measured on the same faces are compared. With --data
    it contains pictures of the dataset: keep such a page to yourself.

    [bold]Examples[/]

      agelens report evaluation/default-split0-test --output report
      agelens report scratch=runs/scratch/evaluation-split0-test-flip \\
        finetune=runs/finetune/evaluation-split0-test-flip --data utkface --output report
    """
    require("data", "polars", "jinja2", "matplotlib")
    from agelens.reports.comparison.report import write

    with console.stages() as progress:
        made = write(
            evaluations, output, data=data, models=models or (), saliency_faces=saliency_faces,
            threads=threads, progress=progress, command=console.command_line(),
        )  # fmt: skip
    _note_findings(made.opening, output / "report.html")


def card(
    model: Annotated[str, Argument(help=options.MODEL)],
    output: options.Output,
    evaluation: Annotated[Path | None, Option(
        help="Its evaluation folder (default: the one on test folds in its run folder).",
    )] = None,
    timing: Annotated[bool, Option(help="Measure the time per face.")] = True,
    threads: Annotated[int, Option(min=1, help="Processor threads for the timing.")] = 1,
) -> None:  # fmt: skip
    """Write the model card of a model: use, limits, data, accuracy by group, cost.

    Writes `model-card.md` and `model-card.html`. The figures come from the evaluation; the time
    per face is measured now.

    [bold]Examples[/]

      agelens card runs/finetune --output cards/finetune
      agelens card default --evaluation evaluation/default-split0-test --output docs
    """
    require("data", "polars", "jinja2", "matplotlib")
    from agelens.reports.model_card import write as write_card

    made = write_card(
        model, output, evaluation=evaluation, timing=timing, threads=threads, progress=console.note
    )
    _note_findings(made.opening, output / "model-card.md")


def _note_findings(findings: Iterable[Any], file: Path) -> None:
    for finding in findings:
        console.note(f"- {finding.text}")
    console.result(file)


def audit_model(
    data: options.Data,
    model: Annotated[str | None, Argument(help=options.MODEL)] = None,
    output: options.Output = Path("audit-model"),
    recalibrate: Annotated[bool, Option(
        "--recalibrate",
        help="Recalibrate on the faces, test by cross-validation as `agelens adapt` does, and "
        "keep the new model if it is better.",
    )] = False,
    seed: Annotated[int, Option(min=0, help="Seed of the folds.")] = 0,
    flip: options.Flip = None,
    saliency_faces: options.SaliencyFaces = 0,
    threads: options.Threads = None,
) -> None:  # fmt: skip
    """Check a model's calibration on your own labelled faces.

    Writes `report.html`, the page of `agelens report` with the verdict at its top (it contains
    faces of the dataset: keep it to yourself), the same as `report.md` and `report.json`, and the
    evaluation itself. With --recalibrate it also writes `recalibrated.onnx`, a model like any
    other, if that one is better in cross-validation.

    [bold]Examples[/]

      agelens audit-model --data mine
      agelens audit-model --data mine --recalibrate --output audited
      agelens predict photo.jpg --model audited/recalibrated.onnx
    """
    require("data", "polars", "jinja2", "matplotlib", "scipy")
    if recalibrate:
        require("data", "onnx")
    from agelens.reports.model_audit import audit

    with console.stages() as progress:
        made, recalibrated = audit(
            data, output, model, progress, recalibrate=recalibrate, flip=flip, seed=seed,
            saliency_faces=saliency_faces, threads=threads, command=console.command_line(),
        )  # fmt: skip
    console.report(made.opening)
    if recalibrate:
        _print_adaptation(made.context["tree"]["audit"]["recalibration"])
    console.report((), output / "report.html", recalibrated)


def adapt(
    data: Annotated[Path, Option(
        help="A folder of pictures with a labels.csv (file, age, gender, person), or a dataset "
        "folder.",
    )],
    output: Annotated[Path, Option("--output", "-o", help="The model file to write, MINE.onnx.")],
    model: Annotated[str | None, Argument(help=options.MODEL)] = None,
    flip: options.Flip = None,
    seed: Annotated[int, Option(min=0, help="Seed of the folds.")] = 0,
    threads: options.Threads = None,
) -> None:  # fmt: skip
    """Adapt a model to your own labelled faces, from 30 on.

    Takes whole photos (the largest face counts) or aligned chips, with ages, genders or both.
    Fits a monotone map of the ages, the interval, and the gender probability, tests each by
    cross-validation by person, and keeps what gains by more than chance and harms nothing. Writes
    a model like any other, and beside it MINE.svg, the error by age before and after.

    [bold]Examples[/]

      agelens adapt default --data mine -o mine.onnx
      agelens predict photo.jpg --model mine.onnx
    """
    require("data", "polars", "matplotlib", "scipy", "onnx")
    from agelens.reports.adaptation import adapt as adapt_model

    with console.stages() as progress:
        found, rejects = adapt_model(
            model, data, output, flip=flip, seed=seed, threads=threads, progress=progress
        )
    if rejects:
        name, reason = rejects[0]
        console.warn(f"pictures left out: {len(rejects):,}, the first {name!r}: {reason}")
    if not found["people_named"].value:
        console.note(
            "no column person: near copies of a photo stay together, but a person may be both "
            "fitted and tested on"
        )
    _print_adaptation(found)
    console.report((), output, output.with_suffix(".svg"))


def _print_adaptation(found: Any) -> None:
    from agelens.reports.adaptation import before_and_after

    title = f"{found['faces'].value:,} faces of {found['people'].value:,} people, each by what "
    console.table(
        ("", "before", "after", "difference"), before_and_after(found),
        title=f"{title}was fitted on others, with 95 % intervals", title_justify="left",
    )  # fmt: skip
    kept, moved = [part.value for part in found["parts"]], found["moved_years"].value
    if kept:
        console.result(f"kept: {', '.join(kept)}; ages move by {moved:.1f} years on average")
    else:
        console.result("nothing gained by more than chance, so nothing changes; above: as tried")
