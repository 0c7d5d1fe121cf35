"""The summary at the top of the page: what a hurried reader must know, in plain words."""

from collections.abc import Callable, Iterator

from agelens.reports.comparison.sections.by_group import group_words
from agelens.reports.comparison.sections.certainty import PROMISE, coverage_words
from agelens.reports.comparison.sections.overview import label_noise, learnt_from
from agelens.reports.comparison.sections.pair_words import half_words
from agelens.reports.comparison.sections.terms import headline, pair_of, ranked, sure_decades
from agelens.reports.page import Finding
from agelens.reports.traced_text import Node, Sentence, join, say, word

FEW = 200
"""Faces under which a reader is warned."""
FAR_BELOW = 0.86
"""Coverage under this, where 90% is promised, is marked."""


def summary(tree: Node) -> list[Finding]:
    """Give the findings; all but the first are of the model with the best age."""
    found = [Finding(text, "strange") for text in cautions(tree)]
    models = ranked(tree)
    if not models:
        return [
            *found,
            Finding(Sentence("Too few faces were answered to tell anything."), "strange"),
        ]
    name, model = models[0]
    rules: tuple[Callable[[], Iterator[Sentence]], ...] = (
        lambda: _age(tree, models),
        lambda: _gender(tree, models),
        lambda: _halves(tree),
        lambda: _best_and_worst(name, model),
        lambda: _bias(name, model),
        lambda: _groups(name, model),
    )
    found += [Finding(text) for rule in rules for text in rule()]
    found.append(_coverage(name, model))
    found += [Finding(text) for text in _noise(tree)]
    return found


def cautions(tree: Node) -> Iterator[Sentence]:
    """Say what makes the figures too good, or too uncertain to rely on."""
    yield from learnt_from(tree)
    if tree["data"]["faces"].value < FEW:
        yield say(
            "Only {faces} faces: figures of so few say little, and their intervals may be too "
            "narrow.",
            faces=tree["data"]["faces"].show("count"),
        )
    if tree["data"]["part"].value in ("validation", "train"):
        yield say(
            "These are {part} faces, which the models had a part in: the figures flatter.",
            part=Sentence(tree["data"]["part"].value),
        )


def _age(tree: Node, models: list[tuple[str, Node]]) -> Iterator[Sentence]:
    name, model = models[0]
    mae, near = headline(model, "age_mae"), headline(model, "age_within_5")
    if mae is None or near is None:
        return
    half, _, nine, _ = model["mistakes"]["error_quantiles"]
    yield say(
        "{name} is off by {mae} in age on average: half of the faces by less than {half} years, "
        "nine in ten by less than {nine}; {near} are within 5 years.",
        name=name,
        mae=mae.span("years", unit=" years"),
        half=half.point("tenth"),
        nine=nine.point("tenth"),
        near=near.point("share"),
    )
    if len(models) > 1:
        yield _lead(tree, models, "age_mae", "age error", "years", " years")


def _lead(
    tree: Node, models: list[tuple[str, Node]], figure: str, words: str, form: str, unit: str
) -> Sentence:
    """Say by how much the best model leads each of the others, and where it may be chance."""
    name = models[0][0]
    said = []
    for other, _ in models[1:]:
        pair = pair_of(tree, name, other)
        if pair is None:
            continue
        place = pair["figures"][figure]
        if place["better"].value == name:
            text = "{side} than {other}'s by {gap}"
        elif place["better"].value is None:
            text = "no different from {other}'s beyond chance ({gap} {side})"
        else:
            text = "{other_side} than {other}'s by {gap}"
        less = figure == "age_mae"
        said.append(
            say(
                text,
                gap=place.span(form, size=True, unit=unit),
                side=Sentence("lower" if less else "higher"),
                other_side=Sentence("higher" if less else "lower"),
                other=other,
            )
        )
    return say(
        "{name}'s {words} is {said}.", name=name, words=Sentence(words), said=join(said, ", ")
    )


def _gender(tree: Node, models: list[tuple[str, Node]]) -> Iterator[Sentence]:
    order = sorted(models, key=lambda pair: -_accuracy(pair[1]))
    name, model = order[0]
    right = headline(model, "gender_accuracy")
    if right is None:
        return
    sentences = [
        say(
            "{name} names the gender label of {right} of faces",
            name=name,
            right=right.span("share"),
        )
    ]
    grown, young = (headline(model, "gender_accuracy", s) for s in ("13 and older", "under 13"))
    if grown is not None and young is not None:
        sentences.append(
            say(
                "({grown} from 13 years on, {young} below)",
                grown=grown.point("share"),
                young=young.point("share"),
            )
        )
    wrong = model["confusion"]["wrong_genders"]
    tail = (
        say(
            "{young} of its {wrong} wrong genders are children under 13.",
            young=wrong["under_13"].show("count"),
            wrong=wrong["faces"].show("count"),
        )
        if wrong["under_13"].value
        else Sentence("")
    )
    yield say("{said}. {tail}", said=join(sentences), tail=tail)
    if len(order) > 1:
        yield _lead(tree, order, "gender_accuracy", "gender accuracy", "points", " points")


def _accuracy(model: Node) -> float:
    found = headline(model, "gender_accuracy")
    return 0.0 if found is None else found.figure.value


def _halves(tree: Node) -> Iterator[Sentence]:
    for name, model in tree["models"].items():
        said = half_words(tree, name, model)
        if said is not None:
            yield said


def _best_and_worst(name: str, model: Node) -> Iterator[Sentence]:
    rows = sorted(sure_decades(model), key=lambda row: row["figures"]["age_mae"].figure.value)
    if len(rows) < 2 or rows[0]["figures"]["age_mae"].figure.high >= (
        rows[-1]["figures"]["age_mae"].figure.low
    ):
        return
    best, worst = rows[0], rows[-1]
    yield say(
        "{name} is best at ages {best} (off by {low} years) and worst at {worst} (off by {high}).",
        name=name,
        best=word(best["group"]["decade"].value),
        low=best["figures"]["age_mae"].point("years"),
        worst=word(worst["group"]["decade"].value),
        high=worst["figures"]["age_mae"].point("years"),
    )


def _bias(name: str, model: Node) -> Iterator[Sentence]:
    rows = [row for row in sure_decades(model) if _is_apart(row["figures"]["age_bias"])]
    young = [row for row in rows if row["figures"]["age_bias"].figure.value < 0]
    old = [row for row in rows if row["figures"]["age_bias"].figure.value > 0]
    said = []
    for some, side in ((young, "young"), (old, "old")):
        if some:
            row = max(some, key=lambda row: abs(row["figures"]["age_bias"].figure.value))
            said.append(
                say(
                    "faces aged {decade} {years} years too {side}",
                    decade=word(row["group"]["decade"].value),
                    years=row["figures"]["age_bias"].point("years", size=True),
                    side=Sentence(side),
                )
            )
    if said:
        yield say("On average it makes {said}.", said=join(said, " and "))


def _is_apart(place: Node) -> bool:
    return place.figure.low > 0 or place.figure.high < 0


def _groups(name: str, model: Node) -> Iterator[Sentence]:
    yield from group_words(name, model)


def _coverage(name: str, model: Node) -> Finding:
    sentences = [coverage_words(name, model)]
    rows = sorted(
        (
            row
            for row in sure_decades(model)
            if row["figures"]["interval_coverage"].figure.high < PROMISE
        ),
        key=lambda row: row["figures"]["interval_coverage"].figure.value,
    )
    if rows:
        sentences.append(
            say(
                "At {decade} it holds only {seen}.",
                decade=word(rows[0]["group"]["decade"].value),
                seen=rows[0]["figures"]["interval_coverage"].span("share"),
            )
        )
    low = rows and rows[0]["figures"]["interval_coverage"].figure.value < FAR_BELOW
    return Finding(join(sentences), "strange" if low else "plain")


def _noise(tree: Node) -> Iterator[Sentence]:
    noise = tree["data"].value.get("label_noise")
    if noise and (noise["mean_difference"] or noise["genders_differ"]):
        yield label_noise(tree["data"]["label_noise"])
