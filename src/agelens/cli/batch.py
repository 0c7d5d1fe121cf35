"""`agelens batch`: any number of pictures, each answered once, on one machine or many."""

from typing import TYPE_CHECKING, Annotated

import typer

from agelens.cli import console, options

if TYPE_CHECKING:
    from agelens.batch.estimate import Estimate
    from agelens.batch.run import Options
    from agelens.batch.status import Progress


def batch(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder, glob, manifest (.txt, .csv, .parquet) or tar shards; local or a URL.",
            show_default=False,
        ),
    ],
    output: Annotated[
        str,
        typer.Option("--output", "-o", help="The folder or URL to write to.", show_default=False),
    ],
    engine: Annotated[
        str, typer.Option(help="local: the cores of this machine; ray: a cluster (extra `scale`).")
    ] = "local",
    address: options.RayAddress = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", "-w", min=1, help="Processes, one core each (default: all)."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Count the pictures and estimate the time by a sample."),
    ] = False,
    chips: options.Chips = False,
    gender_threshold: options.GenderThreshold = 0.5,
    min_face: options.MinFace = 0,
    max_faces: options.MaxFaces = None,
    model: options.Model = None,
    flip: options.Flip = None,
    longest: options.Longest = 1280,
) -> None:
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
    from agelens.cli.extras import need

    need("batch", "polars")
    from agelens.batch.run import ENGINES, Options, cores

    if engine not in ENGINES:
        raise typer.BadParameter(
            f"{engine!r}: expected one of {', '.join(ENGINES)}", param_hint="--engine"
        )
    if address is not None and engine != "ray":
        raise typer.BadParameter("only with --engine ray", param_hint="--address")
    if engine == "ray":
        need("scale", "ray")
    chosen = Options(flip, longest, gender_threshold, min_face, max_faces, chips)
    if dry_run:
        _try(source, output, model, chosen, workers or cores())
    else:
        _run(source, output, model, chosen, engine, workers, address)


def _run(
    source: str, output: str, model: str | None, chosen: "Options", engine: str,
    workers: int | None, address: str | None,
) -> None:  # fmt: skip
    from agelens.batch import run as running
    from agelens.cli.progress import bar

    store, job = running.begin(source, output, model, chosen)
    asked = workers or (running.cores() if engine == "local" else None)
    with store.alone(), bar() as progress:
        task = progress.add_task("listing", total=None)

        def listed(count: int) -> None:
            progress.update(task, completed=count)

        def watch(now: "Progress") -> None:
            total = None if now.totals.shards else now.totals.pictures
            progress.update(task, description=_line(now), completed=now.pictures, total=total)

        done = running.run(store, job, running.Engine(engine, asked, address), listed, watch)
    console.note(
        f"{done.pictures:,} pictures, {done.faces:,} faces, {done.errors:,} errors "
        f"in {done.parts:,} parts"
    )
    console.out.print(output.rstrip("/") + "/parts", soft_wrap=True, highlight=False, markup=False)


def _line(now: "Progress") -> str:
    pictures, faces = now.speed
    share = f"{now.share:.1%}, " if now.totals.shards else ""
    lost = f", {now.lost:,} workers replaced" if now.lost else ""
    return f"{share}{pictures:.1f} pictures/s, {faces:.1f} faces/s, {now.errors:,} errors{lost}"


def _try(source: str, output: str, model: str | None, chosen: "Options", workers: int) -> None:
    """Say what a run would take; nothing is written."""
    from pathlib import Path

    from agelens.batch import listing
    from agelens.batch.estimate import SAMPLE, estimate
    from agelens.batch.reader import Where
    from agelens.batch.run import job_of
    from agelens.cli.progress import bar

    base = str(Path.cwd())
    where = Where(base, listing.root(source, base))
    job = job_of(source, where, output, model, chosen)
    with bar() as progress:
        task = progress.add_task("trying a sample", total=SAMPLE)
        said = estimate(
            listing.entries(source, base), job, lambda n: progress.update(task, completed=n)
        )
    for line in _estimated(said, workers):
        console.out.print(line, soft_wrap=True, highlight=False, markup=False)


def _estimated(said: "Estimate", workers: int) -> list[str]:
    about = f"about {said.pictures:,} pictures, by the bytes of {said.shards:,} shards"
    stages = ", ".join(f"{stage} {1000 * each:.1f}" for stage, each in said.stages.items())
    return [
        about if said.shards else f"{said.pictures:,} pictures",
        f"a sample of {said.sample}: {said.faces:.2f} faces a picture, {said.errors:.1%} errors, "
        f"{1000 * said.seconds:.1f} ms a picture ({stages})",
        f"{workers} workers: {_duration(3600 * said.hours(workers))}; "
        f"output {said.pictures * said.bytes / 1e6:,.1f} MB",
    ]


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    if seconds < 7200:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:,.1f} hours"
