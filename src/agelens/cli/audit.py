"""`agelens data audit`: files, copies, faces and labels of a dataset that may be wrong."""

from pathlib import Path
from typing import Annotated

import typer

from agelens.cli import console, options
from agelens.errors import MissingExtra


def audit(
    data: options.Dataset,
    output: options.Output,
    out_of_fold: Annotated[
        Path | None,
        typer.Option(
            help="Out-of-fold predictions, from `agelens data out-of-fold`.",
            exists=True, dir_okay=False,
        ),
    ] = None,
    models: Annotated[
        bool,
        typer.Option(
            help="Use pre-trained face networks, if installed, to find copies and wrong labels.",
        ),
    ] = True,
    threads: options.Threads = None,
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
    options.need("data", "polars", "scipy", "matplotlib", "jinja2")
    from agelens.data.audit.facts import ModelOutputs
    from agelens.reports.audit import audit as audit_dataset
    from agelens.reports.dataset_page import prepare

    prepare(data, output)  # before anything long
    missing = "" if models else "--no-models was given; leave it out to have them judged."
    try:
        if models:
            options.need_train()
    except MissingExtra as error:
        missing = f"{error}, and run this again."
    outputs, before = ModelOutputs(out_of_fold, missing=missing), dict[str, float]()
    if not missing:
        import torch

        from agelens.training.experiments.out_of_fold import audit_inputs

        if threads:
            torch.set_num_threads(threads)
        with console.bar() as progress:
            outputs, before = audit_inputs(data, out_of_fold, progress)
    with console.stages() as report:
        audited = audit_dataset(
            data, output, outputs, console.command_line(), before, threads, report
        )
    for step, seconds in audited.seconds.items():
        console.note(f"{step}: {seconds:.1f} s")
    console.report(audited.findings, audited.page, audited.json, audited.table)
    if audited.facts.no_labels:
        console.warn(f"labels were not judged: {audited.facts.no_labels}")
