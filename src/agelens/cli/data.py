"""`agelens data`: turn published collections of labelled faces into dataset folders, check them."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from agelens.cli import console, options
from agelens.errors import MissingExtra, require

if TYPE_CHECKING:
    from agelens.data.importer import Imported
    from agelens.reports.dataset_page import DatasetReport

STAGES = {"check": "checking the source", "import": "importing pictures", "align": "aligning faces"}
Destination = Annotated[Path, Argument(help="The folder to write.")]

data = options.Commands(no_args_is_help=True)


@data.callback()
def about_data() -> None:
    """Import, explore and audit dataset folders.

    [bold]Examples[/]

      agelens data import UTKFace.tar.gz utkface
      agelens data explore utkface --output explored
      agelens data audit utkface --output audited
    """


@data.command("import")
def import_(
    source: Annotated[Path, Argument(
        help="A folder, .tar.gz, .tgz, .tar, .zip, .csv or .parquet of labelled pictures.",
    )],
    dest: Annotated[Path, Argument(help="The dataset folder to make.")],
) -> None:  # fmt: skip
    """Import labelled pictures into a dataset folder with cross-validation folds.

    Reads UTKFace names (AGE_GENDER_RACE_TIME.jpg or .jpg.chip.jpg, with gender 0 male and 1
    female), FG-NET names (001A02.JPG), FairFace label files, folders with a metadata.csv or
    labels.csv (file, age or age_low and age_high, gender, person), Kaggle's CSV of pixels, and
    Parquet files with pictures. DEST/rejects.csv lists each unusable file with the reason. Run the
    same command again to continue after a stop.

    [bold]Examples[/]

      agelens data import UTKFace.tar.gz utkface
      agelens data import age_gender.csv small
      agelens data import fairface/ fairface
    """
    require("data", "polars")
    from agelens.data.importer import import_dataset

    with console.stages(STAGES) as show:
        imported = import_dataset(source, dest, report=show)
    _note_earlier(dest, imported.already, imported.before, "files")
    console.table(("dataset", str(dest)), _summary(imported))
    samples = imported.dataset.samples
    if photos := int((samples["width"] != samples["height"]).sum()):
        console.warn(
            f"{photos:,} of {len(samples):,} pictures are not square, so they are not aligned "
            "chips: cut the faces out with  agelens data align  and import those"
        )
    if not imported.already:
        console.note(imported.terms)


@data.command()
def align(
    source: Annotated[Path, Argument(help="A folder, tar or zip of pictures.")],
    dest: Destination,
    every: Annotated[
        bool, Option("--all", help="Cut out all faces of a picture, not only the largest.")
    ] = False,
    workers: Annotated[
        int | None, Option(min=1, help="Pictures processed in parallel (default: one per core).")
    ] = None,
) -> None:
    """Cut faces out of pictures, aligned to 200 x 200 px chips as in UTKFace.

    Writes DEST/chips/ (NAME.chip.jpg; further faces are faceN_of_NAME.chip.jpg), chips.csv with
    the box and five landmarks of each face, and rejects.csv. File names keep their labels, and a
    labels.csv comes along for the largest face of each picture, so DEST/chips can be imported.
    Run the same command again to continue after a stop.

    [bold]Examples[/]

      agelens data align part1.tar.gz aligned
      agelens data align photos/ aligned --all --workers 4
    """
    require("data", "dlib", "face_recognition_models")
    from agelens.data.alignment import align_pictures

    with console.stages(STAGES) as show:
        aligned = align_pictures(source, dest, every=every, workers=workers, report=show)
    _note_earlier(dest, aligned.already, aligned.before, "pictures")
    console.result(
        f"{aligned.chips:,} chips of {aligned.pictures:,} pictures in {dest / 'chips'}; "
        f"{aligned.rejects:,} rejects"
    )


@data.command()
def landmarks(
    source: Annotated[Path, Argument(help="A dataset folder, or any folder of chips.")],
    dest: Destination,
) -> None:
    """Compute 68 landmarks of aligned chips, in the format of UTKFace's own lists.

    Writes DEST/landmarks.txt (per line a file name and 136 numbers), landmarks.parquet and
    rejects.csv. Run the same command again to continue after a stop.

    [bold]Example[/]

      agelens data landmarks utkface landmarks
    """
    require("data", "polars", "dlib", "face_recognition_models")
    from agelens.data.landmarks import compute_landmarks

    with console.stages() as show:
        computed = compute_landmarks(source, dest, partial(show, "computing landmarks"))
    _note_earlier(dest, computed.already, computed.before, "chips")
    console.result(
        f"{computed.faces:,} faces in {dest / 'landmarks.txt'} and landmarks.parquet; "
        f"{computed.rejects:,} rejects"
    )


@data.command("out-of-fold")
def predict_out_of_fold(
    data: options.Dataset,
    output: Annotated[
        Path | None, Option(help="The Parquet file to write (default: DATA/out-of-fold.parquet).")
    ] = None,
    backbone: Annotated[list[str] | None, Option(
        help="Backbone for the features: faceres-deep or dlib (repeatable; default: both).",
    )] = None,
    split: Annotated[int | None, Option(
        min=0, max=4,
        help="Only the training faces of this split, as a distillation teacher (data.teacher).",
    )] = None,
    seeds: Annotated[int, Option(min=1, max=20, help="Heads to average in each fold.")] = 2,
    threads: options.Threads = None,
) -> None:  # fmt: skip
    """Predict every face with a model that was trained on the other folds.

    Trains a small head for each fold on the features of a frozen pre-trained face network. The
    features are computed once and cached in DATA. The file has the columns of `agelens
    evaluate`'s predictions.parquet. Recipes use it as a distillation teacher (data.teacher, with
    --split), and `agelens data audit` uses it to find wrong labels. Run the same command again to
    continue after a stop.

    [bold]Examples[/]

      agelens data out-of-fold utkface
      agelens data out-of-fold utkface --split 0 --output teacher.parquet
    """
    options.need_train()
    import torch

    from agelens.data.dataset import Dataset
    from agelens.training.experiments import out_of_fold as answers

    if threads:
        torch.set_num_threads(threads)
    path = output or data / "out-of-fold.parquet"
    with console.bar() as progress:
        table, about = answers.predict_out_of_fold(
            Dataset(data), progress, tuple(backbone or answers.BACKBONES), seeds, split
        )
    answers.write(table, about, path)
    console.note(
        f"{about['faces']:,} faces, each by a head trained on the other folds: "
        f"MAE {about['age_mae']:.3f} years, CS@5 {about['cs5']:.1%}, "
        f"gender accuracy {about['gender_accuracy']:.1%} against the labels"
    )
    console.result(path)


@data.command()
def explore(
    data: options.Dataset,
    output: options.Output,
    landmarks: Annotated[Path | None, Option(
        help="landmarks.parquet or landmarks.txt from `agelens data landmarks`.",
        exists=True, dir_okay=False,
    )] = None,
) -> None:  # fmt: skip
    """Describe the labels and pictures of a dataset in a report.

    Writes OUTPUT/explore.html, a self-contained report (it contains faces: keep it to yourself),
    explore.json with the same facts, and weights.csv with a weight for each face, for use with
    `agelens train --downweight`. Measurements of the pictures are cached in the dataset folder,
    so a second run is fast. Run the same command again to continue after a stop.

    [bold]Examples[/]

      agelens data explore utkface --output explored
      agelens data explore utkface --output explored --landmarks landmarks/landmarks.parquet
    """
    require("data", "polars", "scipy", "sklearn", "matplotlib", "jinja2")
    from agelens.reports.explore import explore as explore_dataset

    with console.stages() as report:
        explored = explore_dataset(data, output, landmarks, console.command_line(), report)
    _print_report(explored)


@data.command()
def audit(
    data: options.Dataset,
    output: options.Output,
    out_of_fold: Annotated[Path | None, Option(
        help="Out-of-fold predictions, from `agelens data out-of-fold`.",
        exists=True, dir_okay=False,
    )] = None,
    models: Annotated[bool, Option(
        help="Use pre-trained face networks, if installed, to find copies and wrong labels.",
    )] = True,
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
    require("data", "polars", "scipy", "matplotlib", "jinja2")
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
    _print_report(audited)
    if audited.facts.no_labels:
        console.warn(f"labels were not judged: {audited.facts.no_labels}")


def _print_report(made: "DatasetReport[Any]") -> None:
    for step, seconds in made.seconds.items():
        console.note(f"{step}: {seconds:.1f} s")
    console.report(made.findings, made.page, made.json, made.table)


def _note_earlier(dest: Path, complete: bool, before: int, what: str) -> None:
    if complete:
        console.note(f"{dest} is complete already; nothing to do")
    elif before:
        console.note(f"continued an earlier run: {before:,} {what} were done")


def _summary(imported: "Imported") -> list[tuple[str, str]]:
    samples = imported.dataset.samples
    count, ages = len(samples), samples["age"].to_list()
    genders, folds = (dict(samples[name].value_counts().iter_rows()) for name in ("gender", "fold"))
    has_ranges = "age_low" in samples.columns
    people = samples["subject"].n_unique() if "subject" in samples.columns else 0
    partly = f" for {imported.published_folds:,}, hashed for the others"
    rows = [
        ("recognised", imported.recognised),
        ("samples", f"{count:,}"),
        ("rejects", f"{imported.rejects:,}{' (see rejects.csv)' * bool(imported.rejects)}"),
        ("copies left out", f"{imported.copies:,}" * bool(imported.copies)),
        ("ages", f"{min(ages)} to {max(ages)} years, mean {sum(ages) / count:.1f}"),
        ("female", f"{genders.get('female', 0):,}"),
        ("male", f"{genders.get('male', 0):,}"),
        ("gender unknown", f"{genders[None]:,}" if None in genders else ""),
        ("folds 0 to 9", " ".join(f"{folds.get(fold, 0):,}" for fold in range(10))),
        ("ages are ranges", "age is the middle; of an open range its start" * has_ranges),
        ("people", f"{people:,}, each in one fold" * bool(people)),
        ("folds from", "published folds v1" + partly * (imported.published_folds < count)),
    ]
    return [row for row in rows if row[1]]
