"""`agelens batch`: predict any number of pictures, on one machine or many."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from agelens.cli import console, options
from agelens.errors import require

if TYPE_CHECKING:
    from agelens.batch.progress import Progress
    from agelens.batch.worker import Job, Options


def batch(
    *,
    source: Annotated[str, Argument(
        help="A folder, glob, manifest (.txt, .csv, .parquet) or tar shards; local or a URL.",
    )],
    output: Annotated[str, Option("--output", "-o", help="The folder or URL to write to.")],
    engine: Annotated[
        str, Option(help="local: the cores of this machine; ray: a cluster (extra `scale`).")
    ] = "local",
    address: options.RayAddress = None,
    workers: Annotated[int | None, Option(
        "--workers", "-w", min=1, help="Processes, one core each (default: all).",
    )] = None,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Count the pictures and estimate the time by a sample.")
    ] = False,
    chips: options.Chips = False,
    max_faces: options.MaxFaces = None,
    prediction: options.ModelOptions,
) -> None:  # fmt: skip
    """Predict any number of pictures, on all cores or on a cluster.

    Writes Parquet files to OUTPUT/parts: one row per face, and one row per picture that has no
    face or could not be read, with the reason. OUTPUT/status.json shows the progress. After a
    stop or a crash, run the same command again: it continues, and finished work is not repeated.
    See docs/scale.md.

    [bold]Examples[/]

      agelens batch photos/ --output answers
      agelens batch list.csv --output answers --workers 8 --dry-run
      agelens batch 's3://bucket/shards/{000..099}.tar' -o s3://bucket/answers --engine ray
    """
    require("batch", "polars")
    from agelens.batch.run import ENGINES, start
    from agelens.batch.worker import Options
    from agelens.provenance import available_cores

    options.one_of(engine, ENGINES, "--engine")
    if address is not None and engine != "ray":
        raise typer.BadParameter("only with --engine ray", param_hint="--address")
    if engine == "ray":
        require("scale", "ray")
    values = asdict(prediction)
    model = values.pop("model")
    settings = Options(**values, max_faces=max_faces, chips=chips)
    if dry_run:
        _print_estimate(source, model, settings, workers or available_cores())
    else:
        workers = workers or (available_cores() if engine == "local" else None)
        _run(start(source, output, model, settings), engine, workers, address)
        console.result(output.rstrip("/") + "/parts")


def _run(job: "Job", engine: str, workers: int | None, address: str | None) -> None:
    from agelens.batch.run import run

    with console.bar() as progress:
        task = progress.add_task("listing", total=None)

        def on_progress(now: "Progress") -> None:
            pictures, faces = now.speed
            share = f"{now.share:.1%}, " if now.totals.shards else ""
            lost = f", {now.workers_lost:,} workers replaced" if now.workers_lost else ""
            progress.update(
                task,
                description=f"{share}{pictures:.1f} pictures/s, {faces:.1f} faces/s, "
                f"{now.counts.errors:,} errors{lost}",
                completed=now.counts.pictures,
                total=None if now.totals.shards else now.totals.pictures,
            )

        def on_listed(count: int) -> None:
            progress.update(task, completed=count)

        finished = run(job, on_listed, on_progress, engine, workers, address)
    counts = finished.counts
    console.note(
        f"{counts.pictures:,} pictures, {counts.faces:,} faces, {counts.errors:,} errors "
        f"in {finished.parts:,} parts"
    )


def _print_estimate(source: str, model: str | None, settings: "Options", workers: int) -> None:
    from agelens.batch.run import SAMPLE, estimate

    with console.bar() as progress:
        task = progress.add_task("trying a sample", total=SAMPLE)
        found = estimate(source, model, settings, lambda n: progress.update(task, completed=n))
    pictures = f"{found.pictures:,} pictures"
    if found.shards:
        pictures = f"about {pictures}, estimated from the bytes of {found.shards:,} shards"
    stages = ", ".join(f"{stage} {1000 * each:.1f}" for stage, each in found.stages.items())
    hours = found.pictures * found.seconds / workers / 3600
    duration = f"{hours:,.1f} hours"
    if hours < 2:
        duration = f"{60 * hours:.0f} minutes" if hours >= 1 / 30 else f"{3600 * hours:.0f} seconds"
    console.result(
        f"{pictures}\na sample of {found.sample}: {found.faces:.2f} faces a picture, "
        f"{found.errors:.1%} errors, {1000 * found.seconds:.1f} ms a picture ({stages})\n"
        f"{workers} workers: {duration}; output {found.pictures * found.bytes / 1e6:,.1f} MB"
    )
