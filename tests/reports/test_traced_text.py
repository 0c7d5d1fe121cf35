import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.reports.traced_text import (
    FORMS,
    Node,
    Quote,
    Sentence,
    at,
    join,
    listed,
    say,
    word,
    written,
)

TREE = {"a": {"value": -0.9361, "low": -1.05, "high": -0.83}, "b/~": [{"share": 0.72126}]}
FIGURE = {"value": 4.335, "low": 4.204, "high": 4.468}


def test_a_sentence_knows_where_its_numbers_stand() -> None:
    node = Node(TREE)
    said = say(
        "{name} is {gap} better; {share} are.",
        name="run-2",
        gap=node["a"].point("years", size=True),
        share=node["b/~"][0]["share"].show("share"),
    )
    assert said == "run-2 is 0.94 better; 72.1% are."
    assert said.words == ("run-2",)
    assert said.quotes == (Quote("/a/value", "0.94"), Quote("/b~1~0/0/share", "72.1", 100))
    assert [at(TREE, q.path) for q in said.quotes] == [-0.9361, 0.72126]


def test_spans() -> None:
    node = Node(
        {"years": FIGURE, "less": TREE["a"], "few": {"value": 3.0, "low": None, "high": None}}
    )
    assert node["years"].span("years") == "4.33 (4.20 to 4.47)"
    assert node["years"].span("years", unit=" years") == "4.33 years (4.20 to 4.47)"
    assert node["less"].span("signed years") == "-0.94 (-1.05 to -0.83)"
    # seen from the other side
    assert node["less"].span("years", size=True, unit=" years") == "0.94 years (0.83 to 1.05)"
    assert node["few"].span("years") == "3.00"
    share = Node({"value": 0.721, "low": 0.708, "high": 0.734})
    assert share.span("share") == "72.1% (70.8-73.4)"
    assert share.span("points", unit=" points") == "72.10 points (70.80 to 73.40)"
    assert Node({"value": None, "low": None, "high": None}).span("years") == "-"


def test_sentences_are_joined_with_their_places() -> None:
    parts = [Node(n, f"/{n}").show("count") for n in (1000, 2, 3)]
    assert listed(parts) == "1,000, 2 and 3"
    assert [quote.path for quote in listed(parts).quotes] == ["/1000", "/2", "/3"]
    assert join([]) == ""
    assert word("a-5").words == ("a-5",)
    assert isinstance(say("plain"), Sentence)


def test_nothing_is_minus_zero() -> None:
    assert written(-0.001, "signed years") == "0.00"
    assert written(-0.006, "signed years") == "-0.01"


@given(st.floats(-200, 200), st.sampled_from(sorted(FORMS)))
def test_what_is_shown_is_the_number(value: float, form: str) -> None:
    digits, times, _ = FORMS[form]
    if form == "count":
        value = round(value)
    shown = Node(value).show(form)
    decimals = re.search(r"\.(\d)f", digits)
    unit = 10 ** -int(decimals[1]) if decimals else 1e-3 if form == "number" else 1
    assert float(shown.quotes[0].shown.replace(",", "")) == pytest.approx(
        value * times, abs=unit / 2 + 1e-9
    )


@given(
    st.recursive(st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_every_place_is_found_again(tree: object) -> None:
    def walk(node: Node) -> None:
        assert at(tree, node.path) == node.value
        if isinstance(node.value, dict):
            for key in node.value:
                walk(node[key])
        if isinstance(node.value, list):
            for below in node:
                walk(below)

    walk(Node(tree))


def test_values_that_are_not_in_the_text_bring_no_numbers() -> None:
    three, four = (Node(n, f"/{n}").show("count") for n in (3, 4))
    said = say("{three} and {three}.", three=three, four=four, name="run-2")
    assert said == "3 and 3."
    assert [quote.path for quote in said.quotes] == ["/3", "/3"]
    assert said.words == ()
