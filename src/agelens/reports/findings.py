"""One way to state a finding, for every page.

A rule in Python decides from typed facts whether a finding holds, and how important it is; it
gives a `Finding` with the name of a macro and the values that the macro needs. The macro, in the
page's `findings.jinja`, has the words. `write` calls it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from agelens.reports import rendering
from agelens.reports.rendering import Form


@dataclass(frozen=True, slots=True)
class Finding:
    """A statement about the facts, and how important it is."""

    name: str  # of the macro that words it
    at: str  # name of the chart or table beside which it stands
    importance: int = 0  # 0 to 100; the page opens with the most important ones
    strange: bool = False  # marked, for something that a reader should look into
    values: Mapping[str, Any] = field(default_factory=dict)  # arguments of the macro
    text: str = ""  # filled in by `write`

    @property
    def kind(self) -> str:
        """The word for it in JSON files."""
        return "strange" if self.strange else "plain"


def finding(
    name: str, at: str, importance: int = 0, /, *, strange: bool = False, **values: Any
) -> Finding:
    """Make a finding of the values that its macro takes."""
    return Finding(name, at, importance, strange, values)


strange = partial(finding, strange=True)
"""Make a finding that a reader should look into."""


def write(
    template: str, found: Iterable[Finding], *facts: Any, form: Form = "markdown"
) -> list[Finding]:
    """Fill in the text of findings from the macros of a template, and keep their order.

    Each macro is called with `facts`, then with the finding's own values by their names. The
    text is plain; with the form "html" it is markup, in which numbers keep their places.
    """
    macros = rendering.macros(template, form)
    written = []
    for one in found:
        text = getattr(macros, one.name)(*facts, **one.values)
        written.append(replace(one, text=type(text)(" ".join(text.split()))))
    return written


def foremost(found: Iterable[Finding], most: int = 5) -> list[Finding]:
    """Return the most important findings, the most important first."""
    important = (one for one in found if one.importance)
    return sorted(important, key=lambda one: -one.importance)[:most]
