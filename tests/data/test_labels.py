import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.data.labels import Age, age_range, read_age, read_gender, read_race
from agelens.results import Gender


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("26", Age(26)),
        (" 26.9 ", Age(26)),  # completed years
        ("0", Age(0)),
        ("116", Age(116)),
        ("3-9", Age(6, 3, 9)),
        ("0-2", Age(1, 0, 2)),
        ("(25, 32)", Age(28, 25, 32)),
        ("60 – 69", Age(64, 60, 69)),
        ("more than 70", Age(70, 70, 116)),
        ("60-150", Age(88, 60, 116)),
        ("70+", Age(70, 70, 116)),
    ],
)
def test_reads_ages(text: str, age: Age) -> None:
    assert read_age(text) == age


@pytest.mark.parametrize(
    "text", ["", "nan", "inf", "-1", "117", "old", "9-3", "3-", "1e9", "120-130"]
)
def test_refuses_what_is_no_age(text: str) -> None:
    with pytest.raises(ValueError, match="age"):
        read_age(text)


@given(st.integers(0, 116), st.integers(0, 116))
def test_ranges_keep_their_ends_and_middle(one: int, other: int) -> None:
    low, high = sorted((one, other))
    age = age_range(low, high)
    assert (age.low, age.high) == (low, high)
    assert low <= age.years <= high
    assert read_age(f"{low}-{high}") == age


@given(st.text(max_size=12))
def test_any_text_is_an_age_or_a_value_error(text: str) -> None:
    try:
        assert 0 <= read_age(text).years <= 116
    except ValueError as error:
        assert "expected" in str(error)


def test_reads_genders_by_word_and_never_by_number() -> None:
    assert read_gender(" Female") is Gender.FEMALE
    assert read_gender("M") is Gender.MALE
    assert read_gender("") is None
    assert read_gender("N/A") is None
    for text in ("0", "1", "x"):
        with pytest.raises(ValueError, match="expected female or male"):
            read_gender(text)


def test_reads_races_of_fairface() -> None:
    assert read_race("Southeast Asian") == "asian"
    assert read_race("Latino_Hispanic") == "other"
    assert read_race("white") == "white"
    assert read_race("martian") is None
