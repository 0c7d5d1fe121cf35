"""Which findings of an audit hold, and how important they are; the words are a template's."""

from collections.abc import Iterator

from agelens.data.audit.facts import Facts
from agelens.reports.findings import Finding, finding, strange, write


def findings(facts: Facts) -> list[Finding]:
    """Give what the audit found, in words."""
    rules = [*_files(facts), *_copies(facts), finding("faces", "faces", 60), *_labels(facts)]
    actions = finding("actions" if facts.suggestions else "no_actions", "actions", 75)
    return write("audit/findings.jinja", [*rules, actions], facts)


def _files(facts: Facts) -> Iterator[Finding]:
    yield strange("unusable", "files", 95) if facts.faults else finding("sound", "files", 40)
    if facts.rejects:
        yield finding("rejects", "files", 30)


def _copies(facts: Facts) -> Iterator[Finding]:
    copies = facts.copies
    if not copies.every.groups:
        yield finding("no_copies", "copies", 35)
    if copies.identical.groups:
        yield strange("identical_copies", "copies", 80)
    if copies.near.groups:
        yield strange("near_copies", "copies", 78)
    if copies.every.conflicts.other_fold:
        yield strange("copies_across_folds", "copies", 92)


def _labels(facts: Facts) -> Iterator[Finding]:
    if facts.labels is None:
        return
    yield finding("agreement", "labels", 50)
    some = facts.labels.age_suspects or facts.labels.gender_suspects
    yield (strange if some else finding)("suspects", "suspects", 85 if some else 45)
