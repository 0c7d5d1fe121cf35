import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agelens.errors import BadClip, ConfigError
from agelens.inference.runtime import Model
from agelens.predictor import Predictor, load
from agelens.results import Gender, Prediction, Reason, Status
from agelens.video.pipeline import Track, TrackingPipeline, people
from agelens.video.reader import Frame
from filmed import film, head_of, moving, room


@pytest.fixture(scope="module")
def predictor(tiny_model: Path) -> Predictor:
    return load(tiny_model, threads=1, flip=False)


@pytest.fixture
def heads(astronaut) -> list[np.ndarray]:
    head = head_of(astronaut)
    return [head, (head[:, ::-1, ::-1] * 0.6).astype(np.uint8)]


@pytest.fixture
def scene(heads) -> np.ndarray:
    return moving(heads[:1], lambda i: [(160, 120)], 1)[0]


def test_a_track_as_plain_values_and_as_text() -> None:
    ages = np.eye(117, dtype=np.float32)[34]
    one = Prediction(34.2, (28.4, 40.6), ages, Gender.FEMALE, 0.9, None, None, None)
    track = Track(2, 12, 60, 2.4004, 7.0, 9, one)
    plain = json.loads(json.dumps(track.to_dict()))
    assert plain.items() >= {
        "person": 2, "views": 9, "first_frame": 12, "last_frame": 60,
        "first_time": 2.4, "last_time": 7.0, "age": 34.2, "gender": "female",
    }.items()  # fmt: skip
    assert plain == track.span() | one.to_dict()
    assert str(track) == "woman, 34 (28-41), 2.4-7.0 s"


def test_a_still_clip_gives_the_answer_of_the_picture(tmp_path, predictor, scene) -> None:
    (single,) = predictor.predict(scene)
    clip = film(tmp_path / "still.mkv", [scene] * 12, codec="ffv1")
    moments = list(predictor.follow(clip, fps=None))
    assert len(moments) == 12
    for moment in moments:  # no flicker
        (track,), (view,) = moment.tracks, moment.views
        fused = track.prediction
        assert view.age == single.age
        for name, within in (("age", 1e-4), ("age_interval", 1e-4), ("female_probability", 1e-6)):
            assert getattr(fused, name) == pytest.approx(getattr(single, name), abs=within)
        np.testing.assert_allclose(fused.age_probabilities, single.age_probabilities, atol=1e-6)
        for name in ("gender", "status", "box"):
            assert getattr(fused, name) == getattr(single, name)
    (person,) = people(moments)
    assert (person.views, person.first_time, person.last_time) == pytest.approx((12, 0, 1.1))


def test_differing_views_steady_and_narrow_the_answer(tmp_path, predictor, scene) -> None:
    light = np.random.default_rng(5).uniform(0.8, 1.2, 20)
    frames = [np.clip(scene * share, 0, 255).astype(np.uint8) for share in light]
    moments = list(predictor.follow(film(tmp_path / "a.mkv", frames, codec="ffv1"), fps=None))
    single = np.array([moment.views[0].age for moment in moments])
    fused = np.array([moment.tracks[0].prediction.age for moment in moments])
    assert single.std() > 3
    assert np.abs(np.diff(fused[10:])).max() < 0.25 * np.abs(np.diff(single[10:])).max()
    assert fused[-1] == pytest.approx(single.mean(), abs=1.5)
    widths = np.diff([moment.views[0].age_interval for moment in moments])
    assert np.diff(moments[-1].tracks[0].prediction.age_interval) < 0.9 * widths.mean()


def test_two_who_cross_are_two_people_all_along(tmp_path, predictor, heads) -> None:
    frames = moving(heads, lambda i: [(50 + 34 * i, 90), (424 - 34 * i, 150)], 12, room(240, 480))
    clip = film(tmp_path / "a.mp4", frames)
    moments = list(predictor.follow(clip, fps=None))
    first, second = people(moments)
    left = {track.number: track.prediction.box.left for track in moments[0].tracks}
    right = {track.number: track.prediction.box.left for track in moments[-1].tracks}
    assert left.keys() == {1, 2}
    going_right = min(left, key=left.get)
    assert right[going_right] > 350
    assert right[3 - going_right] < 100
    assert (first.views, second.views) >= (9, 9)


def test_short_gaps_are_bridged_and_late_returns_are_new_people(tmp_path, predictor, heads) -> None:
    seen = {0, 1, 2, 5, 6, 14, 15, 16}
    frames = moving(heads[:1], lambda i: [(150, 120) if i in seen else None], 17)
    clip = film(tmp_path / "a.mp4", frames, rate=5)
    moments = list(predictor.follow(clip, fps=None))
    found = people(moments)
    assert [(p.first_frame, p.last_frame, p.views) for p in found] == [(0, 6, 5), (14, 16, 3)]
    patient = TrackingPipeline(predictor, gap=2.0)
    again = [patient.add(Frame(m.frame, m.time, None), m.picture, m.views) for m in moments]
    assert [(p.first_frame, p.last_frame) for p in people(again)] == [(0, 16)]


def test_a_track_ends_at_a_cut_to_another_face(tmp_path, predictor, heads) -> None:
    frames = moving(heads[:1], lambda i: [(160, 120)], 8)
    frames += moving(heads[1:], lambda i: [(160, 120)], 8, room(seed=4)[::-1])
    found = people(predictor.follow(film(tmp_path / "a.mp4", frames), fps=None))
    assert [(p.first_frame, p.last_frame) for p in found] == [(0, 7), (8, 15)]
    assert abs(found[0].prediction.age - found[1].prediction.age) > 5


def test_flickering_detections_are_nobody(tmp_path, predictor, heads) -> None:
    frames = moving(heads[:1], lambda i: [(150, 120) if i in (3, 4) else None], 9)
    clip = film(tmp_path / "a.mp4", frames)
    moments = list(predictor.follow(clip, fps=None))
    assert moments[0].tracks == people(moments) == []
    assert [person.views for person in people(moments, least_views=2)] == [2]
    assert [person.views for person in people(moments[3:4])] == [1]  # there were no more frames


def test_poorly_visible_views_weigh_less(predictor, scene) -> None:
    (good,) = predictor.predict(scene)
    good = replace(good, female_probability=0.001, error_probability=0.0)
    bad = replace(good, status=Status.POOR, reasons=(Reason.BLURRED,), female_probability=0.999)
    follower = TrackingPipeline(predictor)
    seen = [
        follower.add(Frame(i, i / 5, None), scene, [one]).tracks[0].prediction
        for i, one in enumerate([good, bad, bad])
    ]
    assert [one.status for one in seen] == [Status.OK, Status.OK, Status.POOR]
    assert seen[1].female_probability < 0.1 and Reason.BLURRED in seen[2].reasons


def test_settings_out_of_range_and_bad_clips_are_errors_at_once(tmp_path, predictor) -> None:
    for name, value in (("fps", 0), ("every", 0), ("gap", -1)):
        with pytest.raises(ConfigError, match=name):
            predictor.follow(tmp_path / "a.mp4", **{name: value})
    (tmp_path / "a.mp4").write_bytes(b"no clip")
    with pytest.raises(BadClip):  # at once, before the first moment is asked for
        predictor.follow(tmp_path / "a.mp4")


def test_a_model_that_estimates_ages_keeps_its_estimate(tmp_path, make_model, scene) -> None:
    own = Predictor(Model(make_model({"name": "own", "estimator": "years"}), 1), threads=1)
    (single,) = own.predict(scene)
    clip = film(tmp_path / "a.mkv", [scene] * 3, codec="ffv1")
    ages = [track.prediction.age for one in own.follow(clip, fps=None) for track in one.tracks]
    assert ages == pytest.approx([single.age] * 3, abs=1e-4)
