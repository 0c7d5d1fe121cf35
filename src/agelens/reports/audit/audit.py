"""Audit a dataset folder, in steps whose times are told."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agelens import provenance
from agelens.data import quality
from agelens.data.audit import actions, duplicates, face_problems, facts, files, label_errors
from agelens.data.audit import out_of_fold as answers
from agelens.data.audit.out_of_fold import Models
from agelens.data.dataset import Dataset
from agelens.errors import DatasetError
from agelens.reports.audit import findings, gallery, report, show, show_labels
from agelens.reports.page import Finding

Report = Callable[[str, int, int], None]
"""Called with the step, what is done of it, and of how many; 0 of 0 where it does not count."""


@dataclass(frozen=True, slots=True)
class Audited:
    """What came of it."""

    facts: facts.Facts
    findings: list[Finding]
    page: Path
    json: Path
    actions: Path
    seconds: dict[str, float]  # by step


class _Clock:
    def __init__(self, report: Report | None, before: Mapping[str, float]) -> None:
        self.seconds = dict(before)
        self._report = report

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[int, int], None]]:
        def counted(done: int, total: int) -> None:
            if self._report is not None:
                self._report(name, done, total)

        counted(0, 0)
        start = time.perf_counter()
        yield counted
        self.seconds[name] = round(time.perf_counter() - start, 2)


def prepare(data: Path, output: Path) -> Dataset:
    """Open the dataset and make the folder to write to; what can fail at once, fails here.

    Raises DatasetError for what is no dataset folder, holds no sample, or cannot be made.
    """
    dataset = Dataset(data)
    if not len(dataset):
        raise DatasetError(f"{str(data)!r} holds no sample: import a source that has some")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"cannot make {str(output)!r}: {error.strerror or error}") from error
    return dataset


def audit(
    data: Path,
    output: Path,
    models: Models,
    *,
    command: str = "",
    before: Mapping[str, float] | None = None,
    threads: int | None = None,
    tell: Report | None = None,
) -> Audited:
    """Write `audit.html`, `audit.json` and `actions.csv` in OUTPUT for the dataset folder DATA.

    `before` are times of steps that were done already, such as asking models; `threads` are one
    a core by default. Raises DatasetError for what is no dataset folder, holds no sample, or
    cannot be written, and for answers about other faces.
    """
    clock = _Clock(tell, before or {})
    dataset = prepare(data, output)
    samples = dataset.samples
    said = answers.read(models.out_of_fold, samples) if models.out_of_fold is not None else None
    with clock.step("check the files") as counted:
        checked = files.check(dataset, counted, threads)
    with clock.step("find copies"):
        found = duplicates.find(
            samples["sha256"].to_numpy(), checked.hashes, checked.sound, models.descriptors
        )
    with clock.step("measure the pictures") as counted:
        measured = quality.measure(dataset, counted, threads)
        faults = face_problems.find(measured, checked.beyond, models.looks_painted)
    doubts = None
    if said is not None:
        with clock.step("judge the labels"):
            doubts = label_errors.doubt(samples, said)
    to_do = [
        *actions.of_files(checked.faults),
        *actions.of_copies(samples, found, said),
        *(actions.of_labels(samples, doubts) if doubts is not None else ()),
        *actions.of_faces(samples, faults),
    ]
    suggestions, problems, left_out = facts.of_actions(to_do)
    whole = facts.Facts(
        samples=len(dataset),
        rejects=checked.rejects,
        faults=checked.faults,
        copies=facts.of_copies(samples, found, models.descriptors is not None),
        faces=facts.of_faces(samples, faults),
        grey=int(measured["grey"].sum() or 0),
        labels=facts.of_labels(samples, doubts) if doubts is not None else None,
        no_labels="" if doubts is not None else models.missing,
        suggestions=suggestions,
        problems=problems,
        left_out=left_out,
    )
    with clock.step("pick the pictures"):
        pictures = gallery.gather(dataset, found, faults, doubts)
    said_so = findings.findings(whole)
    with clock.step("draw the charts"):
        sections = [
            show.files_section(whole),
            show.copies_section(whole, pictures),
            show.faces_section(whole, pictures),
            show_labels.labels_section(whole.labels, samples, doubts, pictures)
            if whole.labels is not None and doubts is not None
            else show_labels.no_labels_section(whole),
            show_labels.actions_section(whole),
        ]
    made: dict[str, Any] = {
        "command": command, "data": data.resolve().name, "fingerprint": dataset.fingerprint,
        "date": provenance.now(), "versions": provenance.versions(),
        "machine": provenance.machine(), "seconds": clock.seconds,
    }  # fmt: skip
    page, table, lines = (output / name for name in ("audit.html", "audit.json", "actions.csv"))
    try:
        report.write_page(page, made, whole, said_so, sections)
        report.write_json(table, made, whole, said_so)
        actions.write(to_do, lines)
    except OSError as error:
        raise DatasetError(
            f"cannot write {error.filename or str(output)!r}: {error.strerror or error}"
        ) from error
    return Audited(whole, said_so, page, table, lines, clock.seconds)
