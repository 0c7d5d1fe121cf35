"""A page as Markdown, with its charts as files beside it; pictures of faces are left out."""

import re
from pathlib import Path

from agelens.output.tables import replacing
from agelens.reports.page import Finding, Page, Part, Pictures, Table, Text

CHARTS = "charts"
"""The folder of the charts, beside the text."""


def write(page: Page, file: Path) -> None:
    """Write a page's text to a file and its charts into `charts/` beside it."""
    charts: dict[str, str] = {}
    text = render(page, charts)
    if charts:
        (file.parent / CHARTS).mkdir(exist_ok=True)
    for name, svg in charts.items():
        with replacing(file.parent / CHARTS / name) as out:
            out.write(svg + "\n")
    with replacing(file) as out:
        out.write(text)


def render(page: Page, charts: dict[str, str] | None = None) -> str:
    """Give a page as Markdown; what its links show is put into `charts`, file name to SVG.

    Without `charts` the charts are left out, with their captions.
    """
    lines = [f"# {_plain(page.title)}", _plain(page.subtitle)]
    findings = [f"- {_mark(finding)}{_plain(finding.text)}" for finding in page.findings]
    lines += ["\n".join(findings)] if findings else []
    for section in page.sections:
        lines.append(f"## {_plain(section.title)}")
        for part in section.parts:
            lines += _part(part, section.title, charts)
    lines += ["---", *(_plain(line) for line in page.foot)] if page.foot else []
    return "\n\n".join(lines) + "\n"


def _mark(finding: Finding) -> str:
    return f"**{_plain(finding.mark)}:** " if finding.kind == "strange" else ""


def _part(part: Part, title: str, charts: dict[str, str] | None) -> list[str]:
    if isinstance(part, Text):
        return [_plain(paragraph) for paragraph in part.paragraphs]
    if isinstance(part, Table):
        head = [f"**{_plain(part.caption)}**"] if part.caption else []
        return [*head, _table(part), *([_plain(part.note)] if part.note else [])]
    if isinstance(part, Pictures):
        return []
    if charts is None:
        return []
    name = f"{len(charts) + 1:02}-{re.sub(r'[^a-z0-9]+', '-', title.lower()).strip('-')}.svg"
    charts[name] = part.svg
    return [f"![{_plain(part.caption)}]({CHARTS}/{name})", f"*{_plain(part.caption)}*"]


def _table(table: Table) -> str:
    rule = ["---:" if numeric else "---" for numeric in table.numeric]
    rows = [[_cell(word) for word in row] for row in (table.columns, *table.cells)]
    rows.insert(1, rule)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def _plain(text: str) -> str:
    """Keep text from being read as markup: names and files hold what they hold."""
    return re.sub(r"([\\`*_\[\]<>])", r"\\\1", str(text)).replace("\n", " ")
