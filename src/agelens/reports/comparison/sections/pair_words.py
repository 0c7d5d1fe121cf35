"""Two models against each other, in words."""

from agelens.reports.comparison.sections.terms import headline, name_of, pair_of
from agelens.reports.traced_text import Node, Sentence, join, say

FEW = 4
"""Groups named in one sentence."""


def pair_words(pair: Node) -> list[Sentence]:
    """Say by how much two models differ, where each is better, and whether they complement."""
    first, second = pair["first"].value, pair["second"].value
    return [
        join([_overall(pair, "age_mae"), _overall(pair, "gender_accuracy")]),
        *(where_better(pair, one) for one in (first, second)),
        _together(pair),
    ]


def _overall(pair: Node, figure: str) -> Sentence:
    first, second = pair["first"].value, pair["second"].value
    place = pair["figures"][figure]
    words, form, unit = {
        "age_mae": ("age error", "years", " years"),
        "gender_accuracy": ("gender accuracy", "points", " points"),
    }[figure]
    better = place["better"].value
    if better is None:
        return say(
            "In {words} the difference of {second} from {first}, {gap}, may be chance.",
            words=Sentence(words),
            first=first,
            second=second,
            gap=place.span(f"signed {form}", unit=unit),
        )
    return say(
        "{better} has the {kind} {words} than {other}, by {gap}.",
        better=better,
        kind=Sentence("lower" if figure == "age_mae" else "higher"),
        words=Sentence(words),
        other=second if better == first else first,
        gap=place.span(form, size=True, unit=unit),
    )


def where_better(pair: Node, one: str) -> Sentence:
    """Say in which groups a model has the lower age error or the higher gender accuracy."""
    sentences = []
    for figure, words, form, unit in (
        ("age_mae", "age error is lower", "years", " years"),
        ("gender_accuracy", "gender accuracy is higher", "points", " points"),
    ):
        rows = [r for r in pair["by_group"] if r["figures"][figure]["better"].value == one]
        if not rows:
            continue
        rows.sort(key=lambda r: -abs(r["figures"][figure].value["value"]))
        named = [
            say(
                "{group}, by {gap}",
                group=name_of(row),
                gap=row["figures"][figure].span(form, size=True, unit=unit),
            )
            for row in rows[:FEW]
        ]
        more = len(rows) - len(named)
        sentences.append(
            say(
                "{one}'s {words} than {other}'s for {groups}{more}.",
                one=one,
                other=pair["second"].value if pair["first"].value == one else pair["first"].value,
                words=Sentence(words),
                groups=join(named, "; "),
                more=Sentence("; and for others (see the table)" if more else ""),
            )
        )
    if not sentences:
        return say("There is no group for which {one} is better by more than chance.", one=one)
    return join(sentences)


def _together(pair: Node) -> Sentence:
    found = pair["together"]
    gain = found["age_mae_gain"]
    sentences = []
    if found["error_correlation"].value is not None:
        sentences.append(
            say(
                "Their errors of age correlate by {r}.",
                r=found["error_correlation"].show("years"),
            )
        )
    if gain.figure.high < 0:
        sentences.append(
            say(
                "The plain mean of both distributions would be off by {mae} years on these faces, "
                "{gain} less than the better of the two: they complement each other.",
                mae=found["age_mae"].point("years"),
                gain=gain.span("years", size=True, unit=" years"),
            )
        )
    else:
        sentences.append(
            say(
                "The plain mean of both distributions would not beat the better of the two by more "
                "than chance (difference {gain}).",
                gain=gain.span("signed years", unit=" years"),
            )
        )
    return join(sentences)


def half_words(tree: Node, name: str, model: Node) -> Sentence | None:
    """Hold a hybrid against its better half; None for what is no hybrid of models shown here."""
    card = model["about"]["card"].value
    members = {str(one.get("name")) for one in card.get("members", []) if isinstance(one, dict)}
    shown = {
        other: found.figure.value
        for other, theirs in tree["models"].items()
        if {other, str(theirs["about"]["card"].value.get("name"))} & members
        and (found := headline(theirs, "age_mae")) is not None
    }
    if not shown or name in shown:
        return None
    half = min(shown, key=shown.__getitem__)
    pair = pair_of(tree, name, half)
    if pair is None:
        return None
    place = pair["figures"]["age_mae"]
    better = place["better"].value
    words = {
        name: "{name} beats its better half, {half}: its age error is lower by {gap}.",
        half: "{name} is worse than its better half, {half}, by {gap}.",
        None: "{name} does not beat its better half, {half}, by more than chance ({gap}).",
    }[better]
    gap = (
        place.span("signed years", unit=" years")
        if better is None
        else place.span("years", size=True, unit=" years")
    )
    return say(words, name=name, half=half, gap=gap)
