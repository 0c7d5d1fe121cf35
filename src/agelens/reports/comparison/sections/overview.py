"""What was measured, and the headline figures of every model."""

from collections.abc import Iterator

from agelens.reports.comparison.sections.terms import FIGURES, headline
from agelens.reports.page import Cell, Section, Table, Text
from agelens.reports.traced_text import Node, Sentence, join, listed, say, word

SHOWN = tuple(name for name in FIGURES if name != "age_loss")


def measured(tree: Node) -> Section:
    """Say on which faces, and list the models."""
    return Section("What was measured", [Text([_faces(tree), *_cautions(tree)]), _models(tree)])


def figures(tree: Node) -> Section:
    """Give every headline figure with its interval."""
    models = [(name, model) for name, model in tree["models"].items()]
    columns = ["", *(name for name, _ in models)]
    rows: list[list[Cell]] = [
        [words, *(_cell(model, figure, form) for _, model in models)]
        for figure, (words, form) in FIGURES.items()
        if figure in SHOWN
    ]
    for subset, figure, words in (
        ("21-60", "age_mae", "age MAE for 21-60, years"),
        ("13 and older", "gender_accuracy", "gender accuracy, 13 and older"),
        ("under 13", "gender_accuracy", "gender accuracy, under 13"),
    ):
        form = FIGURES[figure][1]
        rows.append([words, *(_cell(model, figure, form, subset) for _, model in models)])
    rows += [_missed(models)] if any("missed" in model for _, model in models) else []
    note = say(
        "In brackets: {method}. CS@5 is the share of faces whose age, in whole years, is within 5 "
        "years of the label. Age is the median of the predicted distribution. ECE is the mean gap "
        "between how sure the gender is and how often it is right, over 15 bins.",
        method=tree["methods"]["intervals"].value,
    )
    return Section("The figures", [Table(columns, rows, note=note, wide=True)])


def _cell(model: Node, figure: str, form: str, subset: str = "all") -> Sentence:
    found = headline(model, figure, subset)
    return Sentence("-") if found is None else found.span(form)


def _missed(models: list[tuple[str, Node]]) -> list[Cell]:
    return [
        "faces not found",
        *(
            m["missed"]["share"].span("share") if "missed" in m else Sentence("-")
            for _, m in models
        ),
    ]


def _faces(tree: Node) -> Sentence:
    data = tree["data"]
    if data["part"].value == "all":
        return say(
            "{faces} faces of {name}, all that it holds. The figures are honest only where the "
            "models have never seen them.",
            faces=data["faces"].show("count"),
            name=str(data["name"].value),
        )
    folds = listed([fold.show("count") for fold in data["folds"]])
    part = {
        "test": "They took no part in training, early stopping, tuning or calibration.",
        "validation": "Training was stopped and calibration fitted on these faces, so the figures "
        "flatter the models.",
        "train": "The models were trained on these faces: the figures say how well they have "
        "learnt them, not how good they are.",
    }[data["part"].value]
    return say(
        "{faces} faces of {name}: the {part} folds {folds} of split {split}. {meaning}",
        faces=data["faces"].show("count"),
        name=str(data["name"].value),
        part=Sentence(data["part"].value),
        folds=folds,
        split=data["split"].show("count"),
        meaning=Sentence(part),
    )


def _cautions(tree: Node) -> list[Sentence]:
    """Say what a reader must know before comparing."""
    found = list(learnt_from(tree))
    flips = {model["flip"].value for _, model in tree["models"].items()}
    if len(flips) > 1:
        found.append(
            Sentence(
                "Some models were asked with flip averaging and some without (see the table): "
                "part of a difference may come from that."
            )
        )
    found_faces = {model["pipeline"].value for _, model in tree["models"].items()}
    if found_faces != {False}:
        found.append(
            Sentence(
                "The faces were found in whole pictures and aligned; figures are of those found."
                if found_faces == {True}
                else "Some models were given aligned faces and others found them in pictures: part "
                "of a difference may come from that."
            )
        )
    if "label_noise" in tree["data"] and tree["data"]["label_noise"]["pairs"].value:
        found.append(label_noise(tree["data"]["label_noise"]))
    return found


def learnt_from(tree: Node) -> Iterator[Sentence]:
    """Name the models that have seen some of the faces in training."""
    whole = tree["data"]["part"].value == "all"
    for name, model in tree["models"].items():
        trained = _trained_split(model)
        if whole and model["learnt_from"].value:
            yield say(
                "{name} has learnt from {seen} of these very faces, or was calibrated on them: "
                "its figures are too good.",
                name=name,
                seen=model["learnt_from"].show("count"),
            )
        if not whole and trained is not None and trained.value != tree["data"]["split"].value:
            yield say(
                "{name} has seen some of these faces in training (split {trained}, measured on "
                "split {split}): its figures are too good.",
                name=name,
                trained=trained.show("count"),
                split=tree["data"]["split"].show("count"),
            )


def _trained_split(model: Node) -> Node | None:
    """Give the split that a model was trained on, where its card tells."""
    card = model["about"]["card"]
    if "data" not in card or "split" not in card["data"].value:
        return None
    return card["data"]["split"]


def label_noise(noise: Node) -> Sentence:
    """Say how far the labels of identical photos lie apart."""
    if not noise["mean_difference"].value and not noise["genders_differ"].value:
        return say(
            "{pairs} {word} of byte-identical pictures in the dataset, with the same labels.",
            pairs=noise["pairs"].show("count"),
            word=Sentence("pair" if noise["pairs"].value == 1 else "pairs"),
        )
    return say(
        "The labels are noisy: of {pairs} {word} of byte-identical pictures in the dataset "
        "{differ} carry different ages, the mean difference over all pairs is {years} years, and "
        "{genders} pairs carry different genders. No model can be better than its labels.",
        pairs=noise["pairs"].show("count"),
        word=Sentence("pair" if noise["pairs"].value == 1 else "pairs"),
        differ=noise["ages_differ"].show("share"),
        years=noise["mean_difference"].show("tenth"),
        genders=noise["genders_differ"].show("count"),
    )


def _models(tree: Node) -> Table:
    rows: list[list[Cell]] = []
    for name, model in tree["models"].items():
        training = model["training"]
        rows.append(
            [
                word(name),
                what(model),
                _training(training, "parameters_millions"),
                model["about"]["megabytes"].show("tenth"),
                _epochs(training),
                _training(training, "hours"),
                Sentence("yes" if model["flip"].value else "no"),
            ]
        )
    columns = [
        "model", "what it is", "parameters, millions", "file, MB", "epochs", "training, hours",
        "flip averaging",
    ]  # fmt: skip
    return Table(columns, rows, wide=True)


def _training(training: Node, key: str) -> Sentence:
    if training.value is None or training.value.get(key) is None:
        return Sentence("-")
    return training[key].show("tenth")


def _epochs(training: Node) -> Sentence:
    if training.value is None or "done_epochs" not in training:
        return Sentence("-")
    done = training["done_epochs"].show("count")
    if training["planned_epochs"].value is None:
        return done
    return say("{done} of {planned}", done=done, planned=training["planned_epochs"].show("count"))


def what(model: Node) -> Sentence:
    """Say in a few words what a model is, off its card."""
    card = model["about"]["card"]
    bits = card["variant"]["bits"] if "variant" in card else None
    said = _kind(card)
    return (
        said if bits is None else say("{said}, in {bits} bits", said=said, bits=bits.show("count"))
    )


def _kind(card: Node) -> Sentence:
    if "members" in card:
        names = [word(str(one.value.get("name", "?"))) for one in card["members"]]
        return join([Sentence("hybrid of"), listed(names)])
    size = (
        say(" at {side} px", side=card["input_size"].show("count"))
        if "input_size" in card
        else Sentence("")
    )
    backbone = card.value.get("backbone")
    if backbone == "scratch":
        return say("trained from scratch{size}", size=size)
    if "joins" in card:
        joined = [word(str(one.value)) for one in card["joins"]]
        return join([Sentence("one head on the features of"), listed(joined)])
    if backbone:
        return say("fine-tuned from {backbone}{size}", backbone=str(backbone), size=size)
    return Sentence("unknown")
