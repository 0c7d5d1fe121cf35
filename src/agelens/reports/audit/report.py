"""The audit's page, and the same facts as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agelens.data.audit.facts import Facts
from agelens.data.exploration.formats import as_json as plain
from agelens.data.import_journal import write_whole
from agelens.reports import page
from agelens.reports.page import Finding, Page, Section, Table

_PRIVATE = "The pictures belong to their owners: keep this page to yourself, as the terms ask."


def write_json(path: Path, made: dict[str, Any], facts: Facts, found: Sequence[Finding]) -> None:
    """Write the facts, whole or not at all."""
    table = {
        "made": made,
        "findings": [{"text": one.text, "kind": one.kind} for one in found],
        **plain(facts),
    }
    write_whole(path, (json.dumps(table, indent=1, ensure_ascii=False) + "\n").encode())


def write_page(
    path: Path,
    made: dict[str, Any],
    facts: Facts,
    found: Sequence[Finding],
    sections: Sequence[Section],
) -> None:
    """Write the page, whole or not at all."""
    steps = [[name, f"{seconds:.1f} s"] for name, seconds in made["seconds"].items()]
    versions = made["versions"]
    about = Page(
        title=f"Audited: {made['data']}",
        subtitle=f"{facts.samples:,} labelled faces. {_PRIVATE}",
        findings=found,
        sections=[*sections, Section("Time", [Table(["step", "time"], steps)])],
        foot=[
            f"{made['command']} · {made['date']}",
            f"agelens {versions.get('agelens', '?')}, Python {versions.get('python', '?')}",
            f"dataset fingerprint {made['fingerprint']}",
        ],
    )
    page.write(about, path)
