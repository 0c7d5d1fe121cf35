"""Numbers and lists as sentences show them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.reports.wording import faces_of, interval, listed, number, signed


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
    assert signed(-0.001, 2) == "0.00"
    assert signed(-0.01, 2) == "-0.01"
    assert number(100) == "100"
    assert interval(4.31, 4.19, 4.52) == "4.3 (4.2 to 4.5)"
