"""`agelens data audit`: files, copies, faces and labels of a dataset that may be wrong."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agelens.cli import console
from agelens.cli.options import Dataset, Output, Threads

if TYPE_CHECKING:
    from rich.progress import Progress

    from agelens.data.audit.facts import ModelOutputs


def audit(
    data: Dataset,
    output: Output,
    out_of_fold: Annotated[
        Path | None,
        typer.Option(
            help="Out-of-fold predictions, from `agelens data out-of-fold`.",
            exists=True, dir_okay=False, show_default=False,
        ),
    ] = None,
    models: Annotated[
        bool,
        typer.Option(
            "--models/--no-models",
            help="Use pre-trained face networks, if installed, to find copies and wrong labels.",
        ),
    ] = True,
    threads: Threads = None,
) -> None:  # fmt: skip
    """Find damaged files, duplicates, bad faces and wrong labels in a dataset.

    Writes OUTPUT/audit.html, a self-contained report (it contains faces: keep it to yourself),
    audit.json with the same facts, and actions.csv with an action for each file, for use with
    `agelens train --exclude` and `--downweight`. Labels are compared with the predictions of
    models that were not trained on the face, in DATA/out-of-fold.parquet. If that file is missing
    and torch is installed (extra `train`), the audit makes it. Run the same command again to
    continue after a stop.

    [bold]Examples[/]

      agelens data audit utkface --output audit
      agelens data audit utkface --output audit --no-models
    """
    from agelens.cli.extras import need

    need("data", "polars", "scipy", "matplotlib", "jinja2")
    from agelens.cli.progress import bar, stages
    from agelens.reports.audit import audit as audit_dataset
    from agelens.reports.dataset_page import prepare

    prepare(data, output)  # before anything long
    with bar() as progress:
        outputs, before = _outputs(data, out_of_fold, models, threads, progress)
    with stages() as report:
        audited = audit_dataset(
            data, output, outputs, command=console.command_line(), before=before,
            threads=threads, report=report,
        )  # fmt: skip
    for step, seconds in audited.seconds.items():
        console.note(f"{step}: {seconds:.1f} s")
    console.report(audited.findings, audited.page, audited.json, audited.table)
    if audited.facts.no_labels:
        console.warn(f"labels were not judged: {audited.facts.no_labels}")


def _outputs(
    data: Path, given: Path | None, wanted: bool, threads: int | None, progress: "Progress"
) -> "tuple[ModelOutputs, dict[str, float]]":
    """Run the networks that are installed; where there are none, say what to install."""
    from agelens.cli.extras import need_train
    from agelens.data.audit.facts import ModelOutputs
    from agelens.errors import MissingExtra

    if not wanted:
        missing = "--no-models was given; leave it out to have them judged."
        return ModelOutputs(given, missing=missing), {}
    try:
        need_train()
    except MissingExtra as error:
        return ModelOutputs(given, missing=f"{error}, and run this again."), {}
    import torch

    from agelens.training.experiments import out_of_fold

    if threads:
        torch.set_num_threads(threads)
    return out_of_fold.audit_inputs(data, given, progress)
