"""Where on the face a model looks: saliency, and whether the map passes the deletion test."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agelens.evaluation import saliency
from agelens.evaluation.saliency import GRID, STEPS, TARGETS, SaliencyMaps, Target
from agelens.reports import charts
from agelens.reports.charts import Axes, Line
from agelens.reports.page import Cell, Chart, Part, Picture, Pictures, Section, Table, Text
from agelens.reports.traced_text import Node, Sentence, listed, say

EXAMPLES = 6
UNIT = {"age": ("years", " years"), "gender": ("points", " points")}


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """The chips that were mapped, and the maps of each model."""

    chips: NDArray[np.uint8]  # (N, 200, 200, 3)
    maps: dict[str, dict[Target, SaliencyMaps]]


def looked_at(tree: Node, looked: Looked | None) -> Section:
    """Show the maps and the deletion test of every model that was mapped."""
    parts: list[Part] = []
    left = tree["saliency_left_out"]
    if left.value:
        parts.append(Text([Sentence(left.value)]))
    for name, model in tree["models"].items():
        if looked is None or "saliency" not in model:
            continue
        found = model["saliency"]
        parts.append(Text([_verdict(name, found, target) for target in TARGETS]))
        sound = [target for target in TARGETS if found[target]["means_something"].value]
        parts += [_curves(name, found, target) for target in TARGETS]
        if sound:
            parts.append(_examples(name, looked, looked.maps[name], sound))
            parts.append(_regions(name, found, sound))
    if len(parts) > (1 if left.value else 0):
        parts.append(Text([_method()]))
    return Section("Where the models look", parts)


def _method() -> Sentence:
    return Sentence(
        "How: a window slides over the face and covers it with a strong blur of itself; how far "
        "the answer moves is the salience (occlusion; Zeiler and Fergus, 2014). A map means "
        "something only if it can be put to use: so patches are covered one after another, the "
        "most salient first, in random order, and the least salient first (after Petsiuk et al., "
        "2018). The age has moved by the Wasserstein distance of the two distributions, the gender "
        "by its probability. The area is the mean shift on the way from nothing to everything "
        "covered."
    )


def _verdict(name: str, found: Node, target: Target) -> Sentence:
    place = found[target]
    form, unit = UNIT[target]
    if not place["means_something"].value:
        return say(
            "{name}, {target}: the map fails the deletion test on {faces} faces (most salient "
            "first less random order: {most}; random less least salient first: {least}), so "
            "nothing is read off it.",
            name=name,
            target=Sentence(target),
            faces=place["faces"].show("count"),
            most=place["most_minus_random"].span(form, unit=unit),
            least=place["random_minus_least"].span(form, unit=unit),
        )
    own = (
        "a face's own map says more than the mean map of the other faces"
        if place["own_map_is_better"].value
        else "a face's own map says no more than the mean map of the other faces, so read the mean"
    )
    return say(
        "{name}, {target}: the map passes the deletion test on {faces} faces. Covering the most "
        "salient patches first moves the answer by {most} more than random order, and the least "
        "salient first by {least} less; {own} ({others}). It looks most at {regions}.",
        name=name,
        target=Sentence(target),
        faces=place["faces"].show("count"),
        most=place["most_minus_random"].span(form, unit=unit),
        least=place["random_minus_least"].span(form, unit=unit),
        own=Sentence(own),
        others=place["own_minus_others"].span(f"signed {form}", unit=unit),
        regions=_most(place),
    )


def _most(place: Node) -> Sentence:
    """Name the regions with more salience than their area, the densest first."""
    dense = [
        (region["share"].value["value"] / region["area"].value, name, region)
        for name, region in place["regions"].items()
        if region["share"].value["low"] > region["area"].value
    ]
    dense.sort(key=lambda one: -one[0])
    if not dense:
        return Sentence("no region more than at others")
    return listed(
        [
            say(
                "the {name} ({share} of the salience on {area} of the picture)",
                name=Sentence(name),
                share=region["share"]["value"].show("share"),
                area=region["area"].show("share"),
            )
            for _, name, region in dense[:2]
        ]
    )


def _examples(
    name: str, looked: Looked, maps: dict[Target, SaliencyMaps], sound: list[Target]
) -> Pictures:
    """Show the mean face under the mean maps, and some faces under their own."""
    face = np.rint(looked.chips.mean(axis=0)).astype(np.uint8)
    pictures = [
        _lit(face, maps[target].maps.mean(axis=0), f"{target}, all faces") for target in sound
    ]
    places = np.linspace(0, len(looked.chips) - 1, min(EXAMPLES, len(looked.chips))).round()
    for place in np.unique(places.astype(np.int64)):
        pictures += [_lit(looked.chips[place], maps[t].maps[place], t) for t in sound]
    return Pictures(
        pictures, say("{name}: covering what is lit here moves the answer most", name=name)
    )


def _lit(chip: NDArray[np.uint8], salience: NDArray[np.float64], words: str) -> Picture:
    lit = saliency.overlay(chip, salience)[::2, ::2]
    return Picture(np.ascontiguousarray(lit), Sentence(words), Sentence(f"saliency of {words}"))


def _curves(name: str, found: Node, target: Target) -> Chart:
    share = np.linspace(0, 100, STEPS + 1)
    series = {}
    for order, points in found[target]["curves"].items():
        value, low, high = (
            [point.value[key] for point in points] for key in ("value", "low", "high")
        )
        series[order] = Line(share, value, low, high)
    axis = "shift of the age, years" if target == "age" else "shift of the probability"
    svg = charts.lines(
        series,
        Axes("picture covered, %", axis, found[target]["faces"].value),
        share=target == "gender",
    )
    return Chart(
        svg,
        say("{name}, {target}: the deletion test.", name=name, target=Sentence(target)),
    )


def _regions(name: str, found: Node, sound: list[Target]) -> Table:
    first = found[sound[0]]["regions"]
    rows: list[list[Cell]] = [
        [
            region,
            place["area"].show("share"),
            *(found[target]["regions"][region]["share"].span("share") for target in sound),
        ]
        for region, place in first.items()
    ]
    note = say(
        "Regions of the aligned chip on a grid of {side} by {side}; an even map would give each "
        "its share of the area.",
        side=Sentence(str(GRID)),
    )
    return Table(
        ["region", "area", *(f"salience for {target}" for target in sound)],
        rows,
        say("{name}: where the salience lies", name=name),
        note,
        wide=True,
    )
