import string
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.data import labels
from agelens.data.labels import RACES, Age, Label, read_age, read_gender, read_label
from agelens.errors import BadLabel
from agelens.results import Gender

TIME = st.text(string.ascii_letters + string.digits + "-+ é", min_size=1, max_size=30).filter(
    lambda text: text.strip() == text and not text.lower().endswith(("jpg", "jpeg", "png", "webp"))
)


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("26", Age(26)), (" 26.9 ", Age(26)), ("0", Age(0)), ("116", Age(116)),
        ("3-9", Age(6, 3, 9)), ("0-2", Age(1, 0, 2)), ("(25, 32)", Age(28, 25, 32)),
        ("60 – 69", Age(64, 60, 69)), ("more than 70", Age(70, 70, 116)),
        ("60-150", Age(88, 60, 116)), ("70+", Age(70, 70, 116)),
    ],
)  # fmt: skip
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
    age = labels.age_range(low, high)
    assert (age.low, age.high) == (low, high)
    assert low <= age.years <= high
    assert read_age(f"{low}-{high}") == age


@given(st.text(max_size=12))
def test_any_text_is_an_age_or_a_value_error(text: str) -> None:
    try:
        assert 0 <= read_age(text).years <= 116
    except ValueError as error:
        assert "expected" in str(error)


def test_reads_genders_and_races_by_word_and_never_by_number() -> None:
    assert read_gender(" Female") is Gender.FEMALE
    assert read_gender("M") is Gender.MALE
    assert read_gender("") is read_gender("N/A") is None
    for text in ("0", "1", "x"):
        with pytest.raises(ValueError, match="expected female or male"):
            read_gender(text)
    names = ("Southeast Asian", "Latino_Hispanic", "white", "martian")
    assert [labels.read_race(name) for name in names] == ["asian", "other", "white", None]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("26_1_3_20170117154908291.jpg.chip.jpg", Label(26, Gender.FEMALE, "indian")),
        ("26_1_3_20170117154908291.jpg", Label(26, Gender.FEMALE, "indian")),
        ("1_0_0_20161219140623097.jpg", Label(1, Gender.MALE, "white")),
        ("0_0_4_1.JPG", Label(0, Gender.MALE, "other")),
        ("116_1_2_20170112213615815.jpg.chip.jpg", Label(116, Gender.FEMALE, "asian")),
        ("007_0_1_a.png", Label(7, Gender.MALE, "black")),
        ("30_1_2_anna maria.webp", Label(30, Gender.FEMALE, "asian")),
        # the two odd names of the public release that can be read
        ("24_0_1_20170116220224657 .jpg.chip.jpg", Label(24, Gender.MALE, "black")),
        ("55_0_0_20170116232725357jpg.chip.jpg", Label(55, Gender.MALE, "white")),
        # a race that is empty or unknown costs only the race
        ("30_1__20170116232725357.jpg", Label(30, Gender.FEMALE, None)),
        ("30_1_7_20170116232725357.jpg", Label(30, Gender.FEMALE, None)),
    ],
)
def test_reads_names_of_utkface(name: str, label: Label) -> None:
    assert read_label(name) == label


@pytest.mark.parametrize(
    "name",
    [
        # the three of the public release that lack a field
        "39_1_20170116174525125.jpg.chip.jpg", "61_1_20170109142408075.jpg.chip.jpg",
        "61_1_20170109150557335.jpg.chip.jpg",
        "_1_0_20170109150557335.jpg", "20__0_20170109150557335.jpg", "20_1_0_.jpg",
        "20_1_0_1.gif", "-5_1_0_1.jpg", "2.5_1_0_1.jpg", "٢٥_1_0_1.jpg", "face.jpg", "",
        "20_1_0_a/b.jpg", "20_1_0_a\nb.jpg", "20_1_0_\udcff.jpg", f"20_1_0_{'x' * 300}.jpg",
        "117_1_0_1.jpg", "20_2_0_1.jpg",
    ],
)  # fmt: skip
def test_refuses_names_without_age_or_gender(name: str) -> None:
    found = {"117_1_0_1.jpg": "age 117, expected 0 to 116", "20_2_0_1.jpg": "gender 2, expected 0"}
    with pytest.raises(BadLabel, match=found.get(name, r"expected AGE_GENDER_RACE_TIME.jpg")):
        read_label(name)


@given(st.integers(0, 116), st.integers(0, 1), st.integers(0, 4), TIME, st.booleans())
def test_proper_names_are_read(age: int, gender: int, race: int, time: str, chip: bool) -> None:
    key = f"{age}_{gender}_{race}_{time}"
    name = f"{key}.jpg"
    expected = Label(age, (Gender.MALE, Gender.FEMALE)[gender], RACES[race])
    assert read_label(name + ".chip.jpg" if chip else name) == expected
    assert labels.photo_key(name) == labels.photo_key(name + ".chip.jpg") == key


@given(st.text() | st.from_regex(r"\d+_\d*_\d*_.*\.jpg"))
def test_any_other_text_is_a_label_in_range_or_a_bad_label(name: str) -> None:
    with suppress(BadLabel):
        label = read_label(name)
        assert 0 <= label.age <= 116
        assert label.race in (None, *RACES)


def test_what_counts_as_a_picture() -> None:
    assert [labels.is_picture(name) for name in ("a.JPEG", "a.txt", "jpg")] == [True, False, False]
