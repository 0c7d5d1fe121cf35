"""What the pages about a data set share: timed steps, a folder to write to, the files written."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from agelens import provenance
from agelens.data.dataset import Dataset
from agelens.data.exploration.facts import as_json
from agelens.data.storage import write_atomic
from agelens.errors import DatasetError
from agelens.reports import rendering
from agelens.reports.findings import Finding, foremost

Report = Callable[[str, int, int], None]
"""Called with the step, what is done of it, and of how many; 0 of 0 where it does not count."""

Facts = TypeVar("Facts")


@dataclass(frozen=True, slots=True)
class DatasetReport(Generic[Facts]):
    """What was found about a data set, and the files that were written."""

    facts: Facts
    findings: list[Finding]
    page: Path
    json: Path
    table: Path  # weights.csv or actions.csv
    seconds: dict[str, float]  # by step


class Steps:
    """Time the steps of a command, and report their progress."""

    def __init__(self, report: Report | None, before: Mapping[str, float] | None = None) -> None:
        self.seconds = dict(before or {})  # by step
        self._report = report

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[int, int], None]]:
        """Time a block; it gets a function to report its progress to."""

        def counted(done: int, total: int) -> None:
            if self._report is not None:
                self._report(name, done, total)

        counted(0, 0)
        start = time.perf_counter()
        yield counted
        self.seconds[name] = round(time.perf_counter() - start, 2)


def prepare(data: Path, output: Path) -> Dataset:
    """Open a data set folder and make the folder to write to, before anything that takes long.

    Raises DatasetError for what is no data set folder, holds no sample, or cannot be made.
    """
    dataset = Dataset(data)
    if not len(dataset):
        raise DatasetError(f"{str(data)!r} holds no sample: import a source that has some")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"cannot make {str(output)!r}: {error.strerror or error}") from error
    return dataset


def write(
    output: Path, name: str, table_name: str, save_table: Callable[[Path], None], *,
    dataset: Dataset, facts: Facts, found: list[Finding], seconds: dict[str, float],
    about: Mapping[str, str], **context: Any,
) -> DatasetReport[Facts]:  # fmt: skip
    """Write the page `name`, the same facts as JSON, and a table, each whole or not at all.

    `about` joins what is told of how the page was made; `context` goes to its template. Raises
    DatasetError for a file that cannot be written.
    """
    page, facts_file, table = output / f"{name}.html", output / f"{name}.json", output / table_name
    made = {
        "command": about["command"], "data": dataset.folder.resolve().name,
        "fingerprint": dataset.fingerprint, "date": provenance.now(),
        "versions": provenance.versions(), "machine": provenance.machine(), **about,
        "seconds": seconds,
    }  # fmt: skip
    texts = [{"text": one.text, "kind": one.kind} for one in found]
    tree = {"made": made, "findings": texts, **as_json(facts)}
    try:
        rendering.write_html(
            page, f"{name}/page.jinja", made=made, facts=facts, findings=found,
            foremost=foremost(found), **context,
        )  # fmt: skip
        write_atomic(facts_file, (json.dumps(tree, indent=1, ensure_ascii=False) + "\n").encode())
        save_table(table)
    except OSError as error:
        file = error.filename or str(output)
        raise DatasetError(f"cannot write {file!r}: {error.strerror or error}") from error
    return DatasetReport(facts, found, page, facts_file, table, seconds)
