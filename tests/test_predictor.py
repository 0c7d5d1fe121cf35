import io
from itertools import count
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

import agelens
from agelens.errors import AgelensError, BadPicture, ConfigError, ModelError
from agelens.images.resample import shrink
from agelens.images.sources import Source, find
from agelens.inference.runtime import AGES
from agelens.predictor import BATCH, Predictor, load
from agelens.results import Gender, Reason, Status


@pytest.fixture(scope="module")
def predictor(tiny_model: Path) -> Predictor:
    return load(tiny_model, threads=1)


@pytest.fixture(scope="module")
def family(astronaut) -> np.ndarray:
    picture = np.zeros((512, 900, 3), np.uint8)
    for top, left, side in ((0, 0, 512), (0, 520, 300), (320, 540, 180)):
        picture[top : top + side, left : left + side] = shrink(astronaut, side, side)
    return picture


def flat(value: int, side: int = 200) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


def test_a_person_on_a_photo(predictor, astronaut) -> None:
    (one,) = predictor.predict(astronaut)
    low, high = one.age_interval
    assert max(low, 40) < one.age < min(high, 75)  # the tiny model tells the brightness
    assert high - low == pytest.approx(2 * 1.645 * 4, abs=0.3)  # its bell is 4 years wide
    assert one.age_probabilities.shape == (AGES,)
    assert one.gender is (Gender.FEMALE if one.female_probability >= 0.5 else Gender.MALE)
    assert one.box.left < one.landmarks.right_eye[0] < one.landmarks.left_eye[0] < one.box.right
    assert 0.7 < one.detection_score <= 1


def test_several_pictures_give_the_same_as_one_by_one(predictor, astronaut, family) -> None:
    mixed = [astronaut, flat(90, 300), family, *(np.rot90(astronaut, k) for k in (1, 2, 3))]
    together = predictor.predict(mixed)
    assert [len(people) for people in together] == [1, 0, 3, 1, 1, 1]
    for picture, people in zip(mixed, together, strict=True):
        for one, alone in zip(people, predictor.predict(picture), strict=True):
            assert one.box == alone.box and one.age == pytest.approx(alone.age, abs=1e-3)
    assert np.ptp([together[place][0].age for place in (0, 3, 4, 5)]) < 3  # the same person
    both = (astronaut, astronaut)
    for several in (both, iter(both), np.stack(both)):
        assert [len(people) for people in predictor.predict(several)] == [1, 1]
    assert predictor.predict([]) == []


@pytest.mark.parametrize("side", [200, 64, 333])
def test_aligned_chips_of_any_square_size(predictor, side: int) -> None:
    (one,) = predictor.predict(flat(102, side), chips=True)
    assert one.age == pytest.approx(40, abs=0.05)
    assert one.female_probability == pytest.approx(0.4, abs=1e-3) and one.gender is Gender.MALE
    assert one.box is one.landmarks is one.detection_score is None


def test_chips_fill_batches_and_keep_their_order(predictor, monkeypatch) -> None:
    run = Mock(wraps=predictor.model.run)
    monkeypatch.setattr(predictor.model, "run", run)
    values = np.linspace(30, 250, 75).astype(int)
    answers = predictor.predict([flat(value) for value in values], chips=True)
    np.testing.assert_allclose([one.age for (one,) in answers], values / 2.55, atol=0.3)
    sizes = [len(call.args[0]) for call in run.call_args_list]
    assert sizes == [BATCH] * (75 // BATCH) + [75 % BATCH]


@pytest.mark.parametrize(
    ("by_card", "setting", "female"),
    [(None, None, 1), (None, True, 0.5), (True, None, 0.5), (True, False, 1)],
)
def test_flip_averages_with_the_mirror_image(make_model, by_card, setting, female) -> None:
    chip = flat(0)
    chip[:, :100, 0] = 255  # the tiny model looks at the red of the left half
    card = {"name": "t"} if by_card is None else {"name": "t", "flip": by_card}
    (one,) = load(make_model(card), threads=1, flip=setting).predict(chip, chips=True)
    assert one.female_probability == pytest.approx(female)


def test_the_card_chooses_interval_and_estimator(make_model) -> None:
    card = {"interval": {"low": 0.25, "high": 0.75}, "estimator": "trimmed mean"}
    (one,) = load(make_model(card), threads=1).predict(flat(102), chips=True)
    assert one.age_interval == (37, 43)  # quartiles
    assert one.age == pytest.approx(40.25, abs=1e-3)  # age_years of the graph


@pytest.mark.parametrize("interval", [{"low": 0.9, "high": 0.1}, {"low": "x"}, 5])
def test_a_card_with_a_wrong_interval_is_refused(make_model, interval) -> None:
    with pytest.raises(ModelError, match="interval"):
        load(make_model({"interval": interval}))


def test_in_a_list_the_error_names_the_place(predictor, astronaut) -> None:
    with pytest.raises(BadPicture, match=r"^picture 1: "):
        predictor.predict([astronaut, b"no picture", astronaut])


def test_small_and_surplus_faces_are_skipped(predictor, tiny_model, family) -> None:
    largest, middle, _ = (one.box for one in predictor.predict(family))
    large = load(tiny_model, threads=1, min_face=min(middle.width, middle.height)).predict(family)
    assert [one.box for one in large] == [largest, middle]
    few = load(tiny_model, threads=1, max_faces=1).predict(family)
    assert [one.box for one in few] == [largest]


def test_below_the_threshold_no_gender_is_given(tiny_model) -> None:
    predictor = load(tiny_model, threads=1, gender_threshold=0.7)
    answers = predictor.predict([flat(value) for value in (250, 100, 40)], chips=True)
    genders = [one.gender for (one,) in answers]  # the tiny model returns the share of red
    assert genders == [Gender.FEMALE, None, Gender.MALE]


def test_the_error_probability_comes_with_reasons(predictor, drawn_chip) -> None:
    clear, unclear = (predictor.predict(drawn_chip(v), chips=True)[0] for v in (45, 150))
    assert (clear.status, clear.reasons) == (Status.POOR, (Reason.UNLIKE,))  # being drawn
    assert unclear.reasons == (Reason.UNLIKE, Reason.GENDER_UNCLEAR)
    assert 0 <= clear.error_probability < 0.2 < unclear.error_probability <= 1


def test_a_dark_or_blurred_face_is_poor(predictor, astronaut) -> None:
    (good,) = predictor.predict(astronaut)
    (dark,) = predictor.predict((astronaut * 0.08).astype(np.uint8))
    assert good.status is not Status.POOR is dark.status
    assert Reason.DARK in dark.reasons
    (dark_chip,) = predictor.predict(flat(5), chips=True)
    assert {Reason.DARK, Reason.BLURRED} <= set(dark_chip.reasons)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("gender_threshold", 0.4), ("min_face", -1), ("max_faces", 0), ("threads", 0), ("longest", 1)],
)
def test_settings_out_of_range_are_refused(tiny_model, setting: str, value: float) -> None:
    with pytest.raises(ConfigError, match=setting):
        load(tiny_model, **{setting: value})


@pytest.mark.parametrize("threads", [1, 3])
def test_a_stream_predicts_in_order_around_bad_files(
    tiny_model, tmp_path, astronaut, astronaut_path, threads
) -> None:
    good, predictor = astronaut_path.read_bytes(), load(tiny_model, threads)
    for number in range(6):
        (tmp_path / f"{number}.jpg").write_bytes(b"broken" if number in (1, 4) else good)
    answers = list(predictor.predict_stream(find([tmp_path])))
    assert [Path(answer.name).name for answer in answers] == [f"{n}.jpg" for n in range(6)]
    for number, answer in enumerate(answers):
        is_bad = number in (1, 4)
        assert isinstance(answer.error, AgelensError) is is_bad
        assert len(answer.predictions) == (not is_bad)
        assert (answer.width, answer.height) == ((0, 0) if is_bad else (512, 512))
        assert answer.picture is None
    (answer,) = predictor.predict_stream(find([tmp_path / "0.jpg"]), keep_pictures=True)
    np.testing.assert_array_equal(answer.picture, astronaut)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_stream_prefetches_only_a_few_pictures(tiny_model, threads: int) -> None:
    given, blank = count(), io.BytesIO()
    Image.new("RGB", (64, 64)).save(blank, "PNG")
    endless = (Source(str(number), blank.getvalue()) for number in given)
    answers = load(tiny_model, threads).predict_stream(endless)
    assert [next(answers).name for _ in range(3)] == ["0", "1", "2"]
    answers.close()
    assert next(given) < 80


def test_public_names() -> None:
    assert dir(agelens) == sorted(agelens.__all__)
    assert None not in [getattr(agelens, name) for name in agelens.__all__]
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = agelens.nothing_such
