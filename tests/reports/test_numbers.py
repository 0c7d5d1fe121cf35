import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.reports.numbers import (
    Node,
    Number,
    faces_of,
    listed,
    number,
    read,
    signed,
    traced,
    traced_interval,
    untagged,
    written,
)  # fmt: skip
from reported import resolve

TREE = {"a": {"value": -0.9361, "low": -1.05, "high": -0.83}, "b/~": [{"share": 0.72126}]}
FIGURE = {"value": 4.335, "low": 4.204, "high": 4.468}
SHARE = {"value": 0.721, "low": 0.708, "high": 0.734}


@given(st.integers(1, 50000), st.data())
def test_parts_in_words_are_true(total: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, total))
    text = faces_of(count, total)
    names = ["three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    if match := re.fullmatch(r"one face in (\w+) \(([\d,]+)\)", text):
        assert int(match[2].replace(",", "")) == count
        assert total / count == pytest.approx(names.index(match[1]) + 3, rel=0.07)
    else:
        assert text == "every face" or "%" in text


def test_words() -> None:
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"], joint="or") == "a, b or c"
    assert listed(list("abcde"), 3) == "a, b, c and two more"
    assert signed(-0.001, 2) == written(-0.001, "signed years") == "0.00"
    assert signed(-0.01, 2) == written(-0.006, "signed years") == "-0.01"
    assert number(100) == "100"


def test_a_number_on_a_page_knows_its_place() -> None:
    node = Node(TREE)
    gap = traced(node["a"], "years", absolute=True)
    assert gap == '<data value="-0.9361" data-path="/a/value" data-times="1">0.94</data>'
    share = traced(node["b/~"][0]["share"], "share")
    assert str(share).endswith('data-path="/b~1~0/0/share" data-times="100">72.1</data>%')
    assert untagged(share) == "72.1%"
    (sentence,) = read(f"<p>run-2 is {gap} better; {share} are.</p>")
    assert sentence.text == "run-2 is 0.94 better; 72.1% are."
    assert sentence.numbers == [Number("0.94", "/a/value"), Number("72.1", "/b~1~0/0/share", 100)]
    assert [resolve(TREE, number.at) for number in sentence.numbers] == [-0.9361, 0.72126]
    with pytest.raises(TypeError, match="/x is no text"):  # shown without its place
        str(Node(4.0, "/x"))
    assert str(Node("asian")) == "asian"


@pytest.mark.parametrize(("figure", "form", "options", "text"), [
    (FIGURE, "years", {}, "4.33 (4.20 to 4.47)"),
    (FIGURE, "years", {"unit": " years"}, "4.33 years (4.20 to 4.47)"),
    (TREE["a"], "signed years", {}, "-0.94 (-1.05 to -0.83)"),
    # seen from the other side
    (TREE["a"], "years", {"unit": " years", "absolute": True}, "0.94 years (0.83 to 1.05)"),
    ({"value": 3.0, "low": None, "high": None}, "years", {}, "3.00"),
    (SHARE, "share", {}, "72.1% (70.8-73.4)"),
    (SHARE, "points", {"unit": " points"}, "72.10 points (70.80 to 73.40)"),
    ({"value": None, "low": None, "high": None}, "years", {}, "-"),
])  # fmt: skip
def test_a_figure_is_shown_with_its_interval(
    figure: dict[str, float], form: str, options: dict[str, object], text: str
) -> None:
    assert untagged(traced_interval(Node(figure), form, **options)) == text  # type: ignore[arg-type]


def test_sections_begin_at_headings_and_charts_are_no_text() -> None:
    found = read(
        "<nav><li>Age</li></nav><ol><li>First. <a class='x' href='#a'>see</a></li></ol>"
        "<h2>Age</h2><svg><text>12</text></svg><p>Second.</p>loose 3"
    )
    assert [(one.section, one.tag, one.text) for one in found] == [
        ("summary", "li", "First. see"), ("summary", "h2", "Age"), ("Age", "p", "Second."),
        ("Age", "", "loose 3"),
    ]  # fmt: skip
