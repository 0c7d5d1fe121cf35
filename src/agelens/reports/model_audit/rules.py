"""Decide what an audit says: the verdicts, the recalibration, and what to do.

The sentences stand in `templates/model_audit/findings.jinja`.
"""

from agelens.evaluation.calibration import COVERAGE
from agelens.reports import charts, numbers
from agelens.reports.charts import Axes, Line
from agelens.reports.findings import Finding
from agelens.reports.numbers import Node

WHEN = ("before", "after")
FINE = frozenset(("holds", "open", "none"))
"""Verdicts after which a model can be used as it is."""

FIGURES = (
    # figure, its name, form of the value, form of the difference
    ("interval_coverage", "coverage of the 90% interval", "share", "signed points"),
    ("interval_width", "mean width of the interval, years", "tenth", "signed tenth"),
    ("interval_score", "interval score, years", "tenth", "signed tenth"),
    ("age_log_loss", "age log loss, nats", "plain", "signed plain"),
    ("age_mae", "age MAE, years", "years", "signed years"),
    ("age_bias", "age bias, years", "signed years", "signed years"),
    ("gender_accuracy", "gender accuracy", "share", "signed points"),
    ("gender_ece", "gender ECE", "plain", "signed plain"),
    ("gender_log_loss", "gender log loss, nats", "plain", "signed plain"),
    ("gender_brier", "gender Brier score", "plain", "signed plain"),
)


def find(audit: Node, name: str) -> list[Finding]:
    """Return the findings of an audit, the most important first; the page opens with five."""
    bands = {row["verdict"].value for row in audit["by_age"]}
    intervals, gender, bias = (
        audit[key]["verdict"].value in FINE for key in ("intervals", "gender", "bias")
    )
    found = [_finding("intervals_verdict", "verdicts", intervals, name=name, audit=audit)]
    if "recalibration" in audit:
        new = audit["recalibration"]
        fine = bool(new["kept"]) or (intervals and gender)
        bands_lost = [f"the intervals at ages {band}" for band in new["worse_at"] if new["better"]]
        losses = [*map(str, new["worse"]), *bands_lost]
        found.append(_finding("recalibrated", "recalibrated", fine, found=new, losses=losses))
    small = bool(abs(audit["bias"].figure.value) < audit["rules"]["year"].value)
    biased = audit["bias"]["verdict"].value in ("old", "young")
    return [
        *found,
        _finding("what_to_do", "", True, action=_action(audit), audit=audit, biased=biased),
        _finding("gender_verdict", "verdicts", gender, gender=audit["gender"]),
        _finding("bias_verdict", "verdicts", bias, audit=audit, small=small),
        _finding("intervals_by_age", "verdicts by age", not {"narrow", "wide"} & bands,
                 parts=_by_verdict(audit)),
    ]  # fmt: skip


def _finding(macro: str, at: str, fine: bool, **values: object) -> Finding:
    return Finding(macro, at, strange=not fine, values=values)


def _by_verdict(audit: Node) -> list[tuple[str, list[Node]]]:
    """Return the age bands of each verdict, those that fail first."""
    parts = [
        (verdict, [row for row in audit["by_age"] if row["verdict"].value == verdict])
        for verdict in ("narrow", "wide", "holds", "open", "few")
    ]
    return [(verdict, rows) for verdict, rows in parts if rows]


def _action(audit: Node) -> str:
    """Return what follows from the verdicts."""
    intervals, gender = (audit[key]["verdict"].value for key in ("intervals", "gender"))
    tried = "recalibration" in audit
    if tried and audit["recalibration"]["kept"]:
        return "use the new file"
    if intervals == "few":
        return "label more faces"
    if intervals in ("holds", "open") and gender in ("holds", "few"):
        return "nothing"
    if audit["faces"].value < audit["rules"]["enough_to_recalibrate"].value:
        return "too few to recalibrate"
    return "keep the model" if tried else "recalibrate"


def before_and_after(found: Node) -> list[tuple[str, str, str, str]]:
    """Return every figure before and after a recalibration, and the difference, as plain text."""
    rows = []
    for key, name, form, gap in FIGURES:
        place = found["figures"][key]
        before, after = (numbers.traced_interval(place[when], form) for when in WHEN)
        rows.append((name, before, after, numbers.traced_interval(place["difference"], gap)))
    return rows


def coverage_by_age(audit: Node, *, wide: bool = False) -> str:
    """Draw the coverage of the 90% interval by age band: before and after a recalibration.

    Without one it is that of all faces. Returns "" where no band has enough faces.
    """
    recalibrated = audit.get("recalibration")
    found, when = (audit, ("figures",)) if recalibrated is None else (recalibrated, WHEN)
    rows = [r for r in found["by_age"] if r[when[0]]["interval_coverage"]["low"].value is not None]
    if not rows:
        return ""
    middle = [_middle(str(row["age"])) for row in rows]
    series = {}
    for name in when:
        figures = [row[name]["interval_coverage"].value for row in rows]
        value, low, high = ([one[key] for one in figures] for key in ("value", "low", "high"))
        series[name] = Line(middle, value, low, high)
    count = found["faces"].value if wide else None
    axes = Axes("age label, years", "labels inside the 90% interval", count)
    return charts.lines(series, axes, share=True, markers=True, reference=COVERAGE, wide=wide)


def _middle(band: str) -> float:
    first, _, last = band.rstrip("+").partition("-")
    return (int(first) + int(last)) / 2 if last else float(first) + 10
