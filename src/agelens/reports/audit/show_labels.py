"""The page's sections about labels that may be wrong, and about what to do."""

import numpy as np
import polars as pl

from agelens.data.audit.actions import HOPELESS, IN_DOUBT
from agelens.data.audit.facts import Facts, LabelFacts
from agelens.data.audit.label_errors import WINDOW, Doubts
from agelens.reports import charts
from agelens.reports.audit.gallery import WORST, Gallery
from agelens.reports.charts import Axes
from agelens.reports.page import Cell, Chart, Part, Pictures, Section, Table, Text

_LEAST = 20  # faces from which a band is drawn

_HOW = (
    "Each face was answered by models trained on other folds, on the features of frozen face "
    "networks. A label counts as suspect by confident learning (Northcutt, Jiang and Chuang, "
    "2021): how many are wrong is told by how often the models are as sure of another label as "
    f"they commonly are of a face's own (for age, of any window of {WINDOW} years to either side "
    "that does not touch the label's own window); which ones, by ranking them: ages by the "
    "continuous ranked probability score, genders by their probability.",
    "A suspect label is not a proven error: models err too, on unusual faces, on the gender of "
    "small children, and on the very old, whom they make younger. Plausibility is the probability "
    f"of the label over that of the best label, for age within {WINDOW} years of each; it is the "
    "weight in actions.csv.",
)


def labels_section(
    facts: LabelFacts, samples: pl.DataFrame, doubts: Doubts, gallery: Gallery
) -> Section:
    """Show labels against answers, where suspects stand, and the worst of them."""
    there = np.isfinite(doubts.age.score)
    parts: list[Part] = [
        Chart(
            charts.scatter(
                samples["age"].to_numpy()[there], doubts.age_median[there],
                Axes("labelled age, years", "age said, years", facts.faces), diagonal=True,
            ),
            "Labels against what models say that never saw the face. Points far from the line are "
            "wrong labels or wrong models.",
        )
    ]  # fmt: skip
    bands = {name: one for name, one in facts.bands.items() if one[0] >= _LEAST}
    if bands:
        shares = {
            "age": [one[1] / one[0] for one in bands.values()],
            "gender": [one[2] / one[0] for one in bands.values()],
        }
        drawn = charts.bars(
            list(bands), shares, Axes("labelled age, years", "share of labels", facts.faces),
            share=True,
        )  # fmt: skip
        text = f"Suspect labels by labelled age (groups of {_LEAST} faces and more)."
        parts.append(Chart(drawn, text))
    rows: list[list[Cell]] = [[name, *one] for name, one in facts.bands.items()]
    rows.append(["all", facts.faces, facts.age_suspects, facts.gender_suspects])
    columns = ["labelled age", "faces", "suspect ages", "suspect genders"]
    parts.append(Table(columns, rows, "Suspect labels"))
    parts.append(Text(_HOW))
    if gallery.labels:
        caption = f"The {len(gallery.labels)} least plausible labels"
        parts.append(Pictures(gallery.labels, caption))
        parts.append(
            Text(
                [
                    "Below each picture stands its suspect label, and what the models say (for age "
                    "the median, in brackets where 8 in 10 are). "
                    + (
                        "The order is that of plausibility; the others are in actions.csv."
                        if len(gallery.labels) == WORST
                        else "The order is that of plausibility."
                    )
                ]
            )
        )
    return Section("Labels", parts)


def no_labels_section(facts: Facts) -> Section:
    """Say why labels were not judged."""
    return Section("Labels", [Text([f"Labels were not judged: {facts.no_labels}"])])


def actions_section(facts: Facts) -> Section:
    """Say what is suggested, and how training uses it."""
    rows: list[list[Cell]] = [[name, count] for name, count in facts.suggestions.items()]
    problems: list[list[Cell]] = [[name, count] for name, count in facts.problems.items()]
    return Section(
        "What to do",
        [
            Text(
                [
                    "actions.csv has a line for each problem of each file: file, problem, "
                    "evidence, suggestion and weight. Change it, or take lines out; then "
                    "agelens train --exclude actions.csv leaves out the training faces it says to "
                    "exclude, and --downweight actions.csv counts each by the smallest weight "
                    "beside it. Validation and test faces stay, so that figures stay comparable.",
                    "Of the copies of a photo one is kept, the one whose labels fit best; if their "
                    "ages differ by more than 5 years or their genders differ, it weighs "
                    f"{IN_DOUBT:g}. A suspect label weighs its plausibility; under {HOPELESS:g} it "
                    "should be set anew. Other lines ask somebody to look.",
                ]
            ),
            Table(["suggestion", "lines"], rows, "Suggestions"),
            Table(["problem", "lines"], problems, "Problems"),
        ],
    )
