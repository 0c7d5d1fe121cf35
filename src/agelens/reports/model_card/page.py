"""A model card: what a model is, for whom, what it was made of, how good it is and for whom not."""

from agelens.reports.comparison.sections.age import by_decade, decades
from agelens.reports.comparison.sections.by_group import at_equal_ages, forests, group_words, groups
from agelens.reports.comparison.sections.certainty import coverage_words, intervals
from agelens.reports.comparison.sections.overview import figures, what
from agelens.reports.comparison.sections.terms import headline
from agelens.reports.model_card import facts
from agelens.reports.page import Finding, Page, Part, Section, Text
from agelens.reports.traced_text import Node, Sentence, join, say

USE = (
    "For research, statistics over many pictures, and sorting one's own photos.",
    "Not for decisions about a person: access, age checks by law, work, policing, insurance. Not "
    "for saying who somebody is. Gender here is the appearance label that the data carry, with "
    "two values; it says what annotators saw, not how a person identifies. Race is never "
    "predicted; its labels are read to break errors down.",
    "Ask only about faces that the people shown would not mind being asked about, and show the "
    "interval and the probability beside every answer.",
)
LIMITS = (
    "The figures are on faces of the collection it was trained on: aligned, centred, mostly sharp. "
    "On small, dark, blurred, turned or covered faces errors are larger, and the interval may hold "
    "the age less often than it says.",
    "Ages are apparent ages, the labels are estimates, and old faces are few: old age is "
    "underestimated. The gender of small children is hard to see for people too.",
    "An interval in brackets says how much a figure would move with other faces of the same kind; "
    "not how much it would with another training run.",
)


def card(tree: Node) -> Page:
    """Make the page of a card."""
    name = tree["name"].value
    model = tree["models"][name]
    measured = bool(tree["measured"].value)
    sections = [
        facts.identity(name, model),
        Section("Use", [Text([Sentence(text) for text in USE])]),
        facts.licence(tree, model, measured),
        facts.data(tree, model, measured),
        *([figures(tree), _ages(name, model), _groups(name, model)] if measured else []),
        *([_certainty(name, model)] if measured else []),
        facts.cost(tree, model),
        facts.repeat(model, measured),
        Section("Limits", [Text([Sentence(text) for text in LIMITS])]),
    ]
    return Page(
        say("Model card: {name}", name=name),
        what(model),
        _findings(name, model, measured),
        sections,
        [
            say(
                "Made by agelens card, {date}; file SHA-256 {digest}.",
                date=tree["date"].value,
                digest=model["about"]["sha256"].value,
            )
        ],
    )


def _findings(name: str, model: Node, measured: bool) -> list[Finding]:
    if not measured:
        return [
            Finding(
                Sentence(
                    "No evaluation was given: figures with intervals, by age and by group are "
                    "missing. Make one with agelens evaluate and give it with --evaluation."
                ),
                "strange",
            ),
            *_own_figures(model),
        ]
    mae, near = headline(model, "age_mae"), headline(model, "age_within_5")
    right = headline(model, "gender_accuracy")
    grown = headline(model, "gender_accuracy", "13 and older")
    young = headline(model, "gender_accuracy", "under 13")
    found = []
    if mae is not None and near is not None:
        found.append(
            say(
                "Off by {mae} in age on average; {near} of ages are within 5 years.",
                mae=mae.span("years", unit=" years"),
                near=near.span("share"),
            )
        )
    if right is not None:
        parts = [say("Right in gender for {right} of faces", right=right.span("share"))]
        if grown is not None and young is not None:
            parts.append(
                say(
                    "({grown} from 13 years on, {young} below)",
                    grown=grown.point("share"),
                    young=young.point("share"),
                )
            )
        found.append(say("{said}.", said=join(parts)))
    found.append(coverage_words(name, model))
    found += group_words(name, model)
    return [Finding(text) for text in found]


def _own_figures(model: Node) -> list[Finding]:
    """Give what the card in the file tells, without intervals."""
    own = model["about"]["card"]
    if "test" not in own:
        return []
    test = own["test"]
    return [
        Finding(
            say(
                "The card in the file says: age MAE {mae} years, CS@5 {near}, gender accuracy "
                "{right}, on {faces} test faces.",
                mae=test["age_mae"].show("years"),
                near=test["age_within_5"].show("share"),
                right=test["gender_accuracy"].show("share"),
                faces=test["faces"].show("count"),
            )
        )
    ]


def _ages(name: str, model: Node) -> Section:
    return Section("By age", [*by_decade([(name, model)]), decades(name, model)])


def _groups(name: str, model: Node) -> Section:
    equal = at_equal_ages(name, model)
    note = (
        "These figures are not corrected for age: children, of whom some groups have more, are "
        "easier in age and harder in gender."
    )
    more = " The second table gives the groups at equal ages." if equal is not None else ""
    parts: list[Part] = [Text([Sentence(note + more)]), *forests(name, model), groups(name, model)]
    return Section("By group", parts if equal is None else [*parts, equal])


def _certainty(name: str, model: Node) -> Section:
    ece = headline(model, "gender_ece")
    width = headline(model, "interval_width")
    paragraphs = [coverage_words(name, model)]
    if width is not None:
        paragraphs.append(
            say("It is {width} wide on average.", width=width.span("tenth", unit=" years"))
        )
    if ece is not None:
        paragraphs.append(
            say(
                "The probability of the gender is off by {ece} on average (ECE, 15 bins; 0 is "
                "perfect).",
                ece=ece.span("points", unit=" points"),
            )
        )
    paragraphs.append(
        Sentence(
            "Intervals were set on the validation folds so that they hold nine labels in ten; "
            "their coverage by age stands in the table by decade too."
        )
    )
    parts: list[Part] = [Text([join(paragraphs)]), intervals(name, model)]
    return Section("Calibration", parts)
