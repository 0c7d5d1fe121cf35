"""What the pages about a data set share: timed steps, a folder to write to, the files written."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from agelens import provenance
from agelens.data.dataset import Dataset
from agelens.data.exploration.facts import as_json
from agelens.data.storage import write_atomic
from agelens.errors import DatasetError
from agelens.reports import rendering
from agelens.reports.rendering import Finding, foremost

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


@contextmanager
def timed(
    seconds: dict[str, float], report: Report, step: str
) -> Iterator[Callable[[int, int], None]]:
    """Record the seconds of a block as a step; it gets a function to report its progress to."""
    report(step, 0, 0)
    start = time.perf_counter()
    yield partial(report, step)
    seconds[step] = round(time.perf_counter() - start, 2)


def prepare(data: Path, output: Path) -> Dataset:
    """Open a data set and make the folder to write to. Raises DatasetError where it cannot."""
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
    texts = [{"text": one.text, "kind": "strange" if one.strange else "plain"} for one in found]
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
