"""The verdicts and the recalibration in words, and the page that puts them first."""

from dataclasses import replace

from agelens.reports.comparison.sections.summary import cautions
from agelens.reports.model_audit.tell_recalibration import better, recalibration
from agelens.reports.page import Cell, Finding, Page, Section, Table, Text
from agelens.reports.traced_text import Node, Sentence, join, listed, say, word

MARK = "Caution"
INTERVALS = {
    "holds": "yes",
    "narrow": "no, too narrow",
    "wide": "wider than they need be",
    "open": "not shown to fail",
    "few": "too few faces to tell",
}
GENDER = {
    "holds": "yes",
    "sure": "no, too sure",
    "modest": "too modest",
    "female": 'no, leans to "female"',
    "male": 'no, leans to "male"',
    "uneven": "no, uneven",
    "few": "too few faces to tell",
}
BIAS = {
    "none": "yes",
    "old": "no, too old",
    "young": "no, too young",
    "few": "too few faces to tell",
}


def page(tree: Node, whole: Page, name: str) -> Page:
    """Put the verdicts of an audit before a report's page; its own summary becomes a section."""
    audit = tree["audit"]
    warned = list(cautions(tree))
    said = [finding.text for finding in whole.findings if finding.text not in warned]
    sections = [_verdicts(audit)]
    if "recalibration" in audit:
        sections.append(recalibration(audit["recalibration"]))
    sections += [Section("In short", [Text(said)]), *whole.sections]
    return replace(
        whole,
        title=say(
            "{name} on {data}: do its intervals and probabilities hold?",
            name=name,
            data=str(tree["data"]["name"].value),
        ),
        findings=[
            *_findings(audit, name),
            *(Finding(text, "strange", MARK) for text in warned),
        ],
        sections=sections,
    )


def _findings(audit: Node, name: str) -> list[Finding]:
    """Give the verdicts in sentences; what does not hold is marked."""
    fine = {"holds", "open", "none"}
    bands = [row["verdict"].value for row in audit["by_age"]]
    found = [
        (_intervals(audit, name), audit["intervals"]["verdict"].value in fine),
        (_by_age(audit), not {"narrow", "wide"} & set(bands)),
        (_gender(audit["gender"]), audit["gender"]["verdict"].value in fine),
        (_bias(audit), audit["bias"]["verdict"].value in fine),
    ]
    if "recalibration" in audit:
        new = audit["recalibration"]
        needed = not (found[0][1] and found[2][1])
        found.append((better(new), bool(new["kept"].value) or not needed))
    said = [Finding(text, "plain" if good else "strange", MARK) for text, good in found]
    return [*said, Finding(_what_to_do(audit))]


def _intervals(audit: Node, name: str) -> Sentence:
    found = audit["intervals"]
    text = {
        "holds": "The 90% intervals of {name} hold here: {seen} of the labels of {faces} faces lie "
        "inside.",
        "narrow": "The 90% intervals of {name} do not hold here, they are too narrow: {seen} of "
        "the labels of {faces} faces lie inside.",
        "wide": "The 90% intervals of {name} are wider than they need be here: {seen} of the "
        "labels of {faces} faces lie inside.",
        "open": "The 90% intervals of {name} are not shown to fail here: {seen} of the labels of "
        "{faces} faces lie inside.",
        "few": "Whether the 90% intervals of {name} hold here cannot be told from {faces} faces: "
        "{seen} of the labels lie inside, and it takes {enough} faces or more.",
    }[found["verdict"].value]
    return say(
        text,
        name=name,
        seen=found["coverage"].span("share"),
        faces=audit["faces"].show("count"),
        enough=audit["rules"]["enough"].show("count"),
    )


def _by_age(audit: Node) -> Sentence:
    parts = []
    for verdict, text in (
        ("narrow", "too narrow at ages {ages}"),
        ("wide", "wider than need be at ages {ages}"),
        ("holds", "they hold at ages {ages}"),
        ("open", "not shown to fail, yet not known well, at ages {ages}"),
        ("few", "too few faces to tell at ages {ages}"),
    ):
        rows = [row for row in audit["by_age"] if row["verdict"].value == verdict]
        if rows:
            parts.append(say(text, ages=listed([_band(row, verdict) for row in rows])))
    return say("The intervals by age: {parts}.", parts=join(parts, "; "))


def _band(row: Node, verdict: str) -> Sentence:
    said = (
        row["faces"].show("count")
        if verdict == "few"
        else row["figures"]["interval_coverage"].point("share")
    )
    return say("{age} ({said})", age=word(row["age"].value), said=said)


def _gender(gender: Node) -> Sentence:
    verdict = gender["verdict"].value
    if verdict == "few":
        return say(
            "Whether the gender probabilities hold cannot be told: too few faces, or too few of "
            "one gender label ({fewest}).",
            fewest=gender["faces_of_the_rarer_label"].show("count"),
        )
    head = {
        "holds": "The gender probabilities hold here",
        "sure": "The gender probabilities do not hold here, they are too sure",
        "modest": "The gender probabilities are more modest than they need be here",
        "female": 'The gender probabilities do not hold here, they lean to "female"',
        "male": 'The gender probabilities do not hold here, they lean to "male"',
        "uneven": "The gender probabilities do not hold here: too sure in places, too modest in "
        "others",
    }[verdict]
    return say(
        '{head}: said with {said} on average, right in {right}; "female" said less labelled '
        "{lean} points; ECE {ece}, where that of honest "
        "probabilities is up to {chance} by chance.",
        head=Sentence(head),
        said=gender["confidence"].point("share"),
        right=gender["accuracy"].point("share"),
        lean=gender["said_minus_labelled_female"].span("signed points"),
        ece=gender["ece"].span("plain"),
        chance=gender["ece_if_honest"]["chance"].show("plain"),
    )


def _bias(audit: Node) -> Sentence:
    bias = audit["bias"]
    none = (
        "Ages come out right on average, to within a year: bias {signed}."
        if abs(bias.figure.value) < audit["rules"]["year"].value
        else "Ages come out right on average, as far as {faces} faces tell: bias {signed}."
    )
    text = {
        "none": none,
        "old": "Ages come out too old, by {years} on average.",
        "young": "Ages come out too young, by {years} on average.",
        "few": "Whether ages come out too old or too young cannot be told from {faces} faces: "
        "bias {signed}.",
    }[bias["verdict"].value]
    return say(
        text,
        signed=bias.span("signed years", unit=" years"),
        years=bias.span("years", size=True, unit=" years"),
        faces=audit["faces"].show("count"),
    )


def _what_to_do(audit: Node) -> Sentence:
    """Say what follows from the verdicts."""
    intervals, gender = (audit[key]["verdict"].value for key in ("intervals", "gender"))
    biased = audit["bias"]["verdict"].value in ("old", "young")
    said = []
    if "recalibration" in audit and audit["recalibration"]["kept"].value:
        said.append(
            say(
                "What to do: give the new file as the model, such as  agelens predict photo.jpg "
                "--model {file}.",
                file=str(audit["recalibration"]["file"].value),
            )
        )
    elif intervals == "few":
        said.append(
            say(
                "What to do: label more faces; {faces} tell the coverage to within {known} points.",
                faces=audit["rules"]["faces_needed"].show("count"),
                known=audit["rules"]["known_points"].show("number"),
            )
        )
    elif intervals in ("holds", "open") and gender in ("holds", "few"):
        said.append(Sentence("What to do: nothing; use the model as it is."))
    elif audit["faces"].value < audit["rules"]["enough_to_recalibrate"].value:
        said.append(
            say(
                "What to do: do not rely on what does not hold. With {enough} faces or more the "
                "model can be recalibrated on them (--recalibrate).",
                enough=audit["rules"]["enough_to_recalibrate"].show("count"),
            )
        )
    elif "recalibration" in audit:
        said.append(
            Sentence(
                "What to do: use the model as it is, but do not rely on what does not hold; more "
                "faces may make a recalibration worth it."
            )
        )
    else:
        said.append(
            Sentence(
                "What to do: run this again with --recalibrate, which fits intervals and "
                "probabilities on one half of these faces and judges them on the other."
            )
        )
    if biased:
        said.append(
            Sentence(
                "A calibration widens intervals where ages are off, and does not move the ages: "
                "for that look at the pictures (light, sharpness, alignment; below), or fine-tune "
                "on faces like these (agelens train)."
            )
        )
    return join(said)


def _verdicts(audit: Node) -> Section:
    return Section(
        "Verdict",
        [_questions(audit), _bands(audit), _figures(audit), Text(_rules(audit))],
    )


def _questions(audit: Node) -> Table:
    rows: list[list[Cell]] = [
        [Sentence(question), Sentence(words[audit[key]["verdict"].value])]
        for key, question, words in (
            ("intervals", "Do the 90% intervals hold nine labels in ten?", INTERVALS),
            ("gender", "Is the gender as often right as it says?", GENDER),
            ("bias", "Is the age right on average?", BIAS),
        )
    ]
    return Table(["question", "verdict"], rows)


def _figures(audit: Node) -> Table:
    gender = audit["gender"]
    chance = gender["ece_if_honest"]
    rows: list[list[Cell]] = [
        [
            "coverage of the 90% interval",
            audit["intervals"]["coverage"].span("share"),
            audit["promised"].show("share"),
        ],
        ["its mean width, years", audit["intervals"]["width"].span("tenth"), ""],
        ["bias of the age, years", audit["bias"].span("signed years"), "0"],
        [
            "gender right less said, points",
            gender["accuracy_minus_confidence"].span("signed points"),
            "0",
        ],
        [
            '"female" said less labelled, points',
            gender["said_minus_labelled_female"].span("signed points"),
            "0",
        ],
        [
            "gender ECE",
            gender["ece"].span("plain"),
            say(
                "{mean} on average, up to {most} by chance",
                mean=chance["mean"].show("plain"),
                most=chance["chance"].show("plain"),
            ),
        ],
    ]
    for key, title in (
        ("gender_log_loss", "gender log loss, nats"),
        ("gender_brier", "gender Brier score"),
    ):
        expected = say(
            "{honest}; on top {excess}",
            honest=gender[key]["if_honest"].show("plain"),
            excess=gender[key]["excess"].span("signed plain"),
        )
        rows.append([title, gender[key]["seen"].span("plain"), expected])
    return Table(
        ["", "here", "if all were as promised"], rows, "The figures behind the verdicts", wide=True
    )


def _bands(audit: Node) -> Table:
    rows: list[list[Cell]] = []
    for row in audit["by_age"]:
        figures = row["figures"]
        rows.append(
            [
                word(row["age"].value),
                row["faces"].show("count"),
                INTERVALS[row["verdict"].value],
                figures["interval_coverage"].span("share"),
                figures["interval_width"].span("tenth"),
                figures["age_bias"].span("signed years"),
                figures["age_mae"].span("years"),
                figures["gender_accuracy"].span("share"),
            ]
        )
    columns = [
        "ages", "faces", "do intervals hold?", "coverage", "width, years", "bias, years",
        "age MAE, years", "gender accuracy",
    ]  # fmt: skip
    note = Sentence(
        "By the age of the label. In brackets: intervals wide enough for all rows of a column to "
        "hold together 19 times in 20."
    )
    return Table(columns, rows, "By age", note, wide=True)


def _rules(audit: Node) -> list[Sentence]:
    rules = audit["rules"]
    return [
        say(
            "The verdicts are given by rule. Intervals fail where nine in ten lies outside the "
            "interval of the coverage and the coverage is off by over {close} points; gender "
            "probabilities where right and said differ by more than chance and by over {close} "
            "points, where one gender is said more often than labelled (likewise), or where the "
            "ECE is over what honest probabilities come to by chance (and over {ece}); ages where "
            "the bias is more than chance and over {year} year. That intervals hold is said only "
            "of a coverage known to within {loose} points. Fewer faces than {enough} in all, or "
            "{band} in an age band, get no verdict.",
            close=rules["close_points"].show("number"),
            ece=rules["close"].show("number"),
            year=rules["year"].show("number"),
            loose=rules["loose_points"].show("number"),
            enough=rules["enough"].show("count"),
            band=rules["enough_of_a_band"].show("count"),
        ),
        Sentence(
            "What honest probabilities come to by chance is told by drawing gender labels from "
            "the probabilities themselves. The verdicts are on these faces and others like them, "
            "and only as good as their labels: a label that is off makes an interval miss too."
        ),
    ]
