"""An audit finds what was planted: honest answers, intervals too narrow, genders too sure."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import polars as pl
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

import agelens
from agelens.cli.app import app
from agelens.data import chips
from agelens.data.dataset import SCHEMA, Dataset
from agelens.data.folds import published
from agelens.errors import DatasetError, ModelError
from agelens.evaluation import bootstrap, evaluate, metrics
from agelens.evaluation.bootstrap import Estimate
from agelens.evaluation.calibration import Scaling, fit_levels
from agelens.evaluation.figures import Faces
from agelens.evaluation.recalibration import (
    onnx_graph,
    recalibrate,
    verdicts,
)
from agelens.evaluation.recalibration.split_half import MIN_HALF, split_in_half
from agelens.inference import distribution
from agelens.inference.distribution import Levels
from agelens.inference.runtime import Model
from agelens.reports import charts
from agelens.reports.comparison.photos import Photos
from agelens.reports.model_audit.audit import Audited, Plan, audit
from reported import DRAWING, bent_model, chip, first_only, numbers_are_in

FACES = 320


def write_honest(folder: Path, model: Path, count: int, folds: int = 10, sure: float = 1.0) -> Path:
    """Write faces whose labels are drawn from what the model says of them.

    With `sure` under 1 the gender label is drawn from a probability that much nearer to a half.
    """
    (folder / "images").mkdir(parents=True)
    random = np.random.default_rng(11)
    names, pictures = [], []
    for number in range(count):
        age, female = int(random.integers(36, 66)), number % 2 == 1
        pixels = chip(age, female, random)[::8, ::8]
        names.append(f"{number:04}.png")
        Image.fromarray(pixels).save(folder / "images" / names[-1])
        pictures.append(chips.read(folder / "images" / names[-1]))
    said = Model(model, 1).run(np.stack(pictures))
    share = 0.5 + sure * (said.female_probability - 0.5)
    rows = []
    for number, name in enumerate(names):
        p = said.age_probabilities[number].astype(np.float64)
        label = int(random.choice(117, p=p / p.sum()))
        gender = "female" if random.random() < share[number] else "male"
        digest = hashlib.sha256((folder / "images" / name).read_bytes()).hexdigest()
        rows.append((name, label, gender, None, 25, 25, digest, number % folds))
    pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(folder / "samples.parquet")
    return folder


@pytest.fixture(scope="module", autouse=True)
def quick_pages() -> Iterator[None]:
    """Draw the first chart of each kind, and leave the pictures' quality out: both take long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Photos, "look", lambda *_: ({}, []))
        for name, draw in DRAWING.items():
            patch.setattr(charts, name, first_only(draw))
        yield


@pytest.fixture(scope="module")
def data(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_honest(tmp_path_factory.mktemp("audited") / "mine", tiny_model, FACES)


@pytest.fixture(scope="module")
def narrow(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose bells are half as wide as the errors it makes."""
    return bent_model(tiny_model, tmp_path_factory.mktemp("models") / "narrow.onnx", sigma=2.0)


@pytest.fixture(scope="module")
def calibrated(make_model: Callable[..., Path]) -> Path:
    """The model that the labels are drawn from, with levels fitted on such labels."""
    random = np.random.default_rng(21)
    centre = random.uniform(36, 66, 4000)
    spread = np.exp(-((np.arange(117) - centre[:, None]) ** 2) / (2 * 4.0**2))
    spread /= spread.sum(axis=1, keepdims=True)
    ages = np.array([random.choice(117, p=p) for p in spread])
    levels = fit_levels(spread, ages, bandwidth=100.0)
    interval = {"low": levels.low.tolist(), "high": levels.high.tolist()}
    return make_model({"name": "calibrated", "interval": interval})


def run(data: Path, folder: Path, model: Path, **settings: object) -> Audited:
    plan = Plan(data, folder, str(model), threads=1, **settings)  # type: ignore[arg-type]
    return audit(plan, lambda *_: None, "agelens audit-model")


@pytest.fixture(scope="module")
def mended(data: Path, narrow: Path, tmp_path_factory: pytest.TempPathFactory) -> Audited:
    return run(data, tmp_path_factory.mktemp("audit") / "out", narrow, recalibrate=True)


def findings(audited: Audited) -> str:
    return "\n".join(finding.text for finding in audited.made.opening)


def test_intervals_too_narrow_are_found_and_mended_on_the_other_half(
    mended: Audited, data: Path
) -> None:
    found = mended.audit.value
    assert found["intervals"]["verdict"] == "narrow"
    assert found["intervals"]["coverage"]["high"] < 0.8
    assert {row["verdict"] for row in found["by_age"] if row["faces"] > 60} == {"narrow"}
    assert "The 90% intervals of narrow do not hold here, they are too narrow" in findings(mended)
    new = found["recalibration"]
    assert {"intervals", "age distribution"} <= set(new["better"])
    assert new["worse"] == []
    # a bell twice as wide has logits a quarter as large
    assert new["scaling"]["age"] == pytest.approx(0.25, rel=0.15)
    coverage = new["figures"]["interval_coverage"]
    assert coverage["before"]["high"] < 0.85
    assert coverage["after"]["value"] == pytest.approx(0.9, abs=0.06)  # 160 faces: 2.4 points
    assert coverage["difference"]["low"] > 0.05
    # the bells are symmetric: widening them moves no age
    assert abs(new["figures"]["age_mae"]["difference"]["value"]) < 0.05
    assert "better on the other in intervals and age distribution" in findings(mended)
    assert "--model out/recalibrated.onnx" in findings(mended)


def test_the_figures_after_are_those_of_the_file_that_was_kept(mended: Audited, data: Path) -> None:
    assert mended.recalibrated is not None
    dataset = Dataset(data)
    check = np.flatnonzero(split_in_half(dataset.samples, 0).check)
    new = mended.audit.value["recalibration"]
    assert new["faces"] == len(check)
    assert new["fitted_on"] == len(dataset) - len(check)
    predictor = agelens.load(mended.recalibrated, threads=1)
    said = [predictor.predict(dataset.image_path(int(row)), chips=True)[0] for row in check[:60]]
    few = np.stack([chips.read(dataset.image_path(int(row))) for row in check])
    answers = predictor.model.run(few)
    ages = dataset.samples["age"].to_numpy()[check]
    low, high = predictor.model.interval_levels().ends(answers.age_probabilities)
    after = new["figures"]
    assert metrics.interval_coverage(low, high, ages) == pytest.approx(
        after["interval_coverage"]["after"]["value"], abs=1e-6
    )
    assert metrics.age_mae(distribution.median(answers.age_probabilities), ages) == pytest.approx(
        after["age_mae"]["after"]["value"], abs=1e-3
    )
    inside = metrics.interval_coverage(*np.array([one.age_interval for one in said]).T, ages[:60])
    assert 0.8 < inside < 1
    card = predictor.card
    assert card["recalibrated"]["on"] == "mine"
    assert card["recalibrated"]["fingerprint"] == dataset.fingerprint
    assert len(card["interval"]["low"]) == 117


def test_the_folder_and_its_numbers(mended: Audited) -> None:
    assert mended.recalibrated is not None
    folder = mended.recalibrated.parent
    assert {path.name for path in folder.iterdir()} == {
        *("report.html", "report.md", "report.json", "charts", "evaluation", "recalibrated.onnx"),
    }
    tree = json.loads((folder / "report.json").read_text("utf-8"))
    read = (folder / "report.html").read_text("utf-8")
    assert numbers_are_in(tree, read) > 300
    assert tree["audit"] == mended.audit.value
    titles = re.findall("<h2>(.*?)</h2>", read)
    assert titles[:3] == ["Verdict", "Recalibrated", "In short"]
    assert "All figures" in titles
    assert '<li class="strange">' in read
    assert "narrow on mine: do its intervals and probabilities hold?" in read
    assert str(folder) not in read
    about = json.loads((folder / "evaluation" / "evaluation.json").read_text("utf-8"))
    assert (about["data"]["part"], about["data"]["split"], about["faces"]) == ("all", None, FACES)


def test_an_honest_model_holds_and_is_not_changed(
    data: Path, calibrated: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "recalibrated.onnx").write_bytes(b"of an earlier audit")
    audited = run(data, tmp_path / "out", calibrated, recalibrate=True)
    found = audited.audit.value
    assert [found[key]["verdict"] for key in ("intervals", "gender", "bias")] == [
        *("holds", "holds", "none"),
    ]
    assert not {"narrow", "wide"} & {row["verdict"] for row in found["by_age"]}
    excess = found["gender"]["gender_log_loss"]["excess"]
    assert excess["low"] < 0 < excess["high"]
    assert audited.recalibrated is None
    assert not list((tmp_path / "out").glob("recalibrated*"))
    said = findings(audited)
    assert "the model is better on the other" not in said  # at best as good
    assert "It was not kept." in said
    assert "What to do: nothing; use the model as it is." in said
    shown = [finding.kind for finding in audited.made.opening]
    assert shown == ["plain"] * 6


def test_genders_said_too_surely(tiny_model: Path, calibrated: Path, tmp_path: Path) -> None:
    data = write_honest(tmp_path / "unsure", tiny_model, FACES, sure=0.6)
    audited = run(data, tmp_path / "out", calibrated, recalibrate=True)
    gender = audited.audit.value["gender"]
    assert gender["verdict"] == "sure"
    assert gender["ece"]["value"] > 2 * gender["ece_if_honest"]["chance"]
    assert gender["gender_log_loss"]["excess"]["low"] > 0
    new = audited.audit.value["recalibration"]
    assert new["better"] == ["gender probability"]
    assert new["figures"]["gender_ece"]["after"]["value"] < 0.06
    assert new["figures"]["gender_ece"]["before"]["value"] > 0.1
    assert "they are too sure: said with" in findings(audited)


def test_too_few_faces_say_so_and_are_not_recalibrated(tiny_model: Path, tmp_path: Path) -> None:
    data = write_honest(tmp_path / "few", tiny_model, 60)
    with pytest.raises(DatasetError, match=r"60 faces are too few to recalibrate on: .* 30, exp"):
        run(data, tmp_path / "out", tiny_model, recalibrate=True)
    assert not (tmp_path / "out").exists()
    audited = run(data, tmp_path / "out", tiny_model)
    found = audited.audit.value
    assert {found[key]["verdict"] for key in ("intervals", "gender", "bias")} == {"few"}
    said = findings(audited)
    assert "cannot be told from 60 faces" in said
    assert "What to do: label more faces; 385 tell the coverage to within 3 points." in said
    assert "Only 60 faces" in said
    html = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert numbers_are_in(_tree(tmp_path / "out"), html)


def _tree(folder: Path) -> dict[str, object]:
    tree: dict[str, object] = json.loads((folder / "report.json").read_text("utf-8"))
    return tree


def test_the_command_tells_and_ends_well(
    data: Path, narrow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["audit-model", str(narrow), "--data", str(data), "--recalibrate", "--output", "out"]
    result = CliRunner().invoke(app, [*words, "--threads", "1"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("! The 90% intervals of narrow do not hold here")
    assert "on the 160 faces that it was not fitted on" in result.stdout
    assert result.stdout.splitlines()[-2:] == ["out/report.html", "out/recalibrated.onnx"]
    model = ["predict", str(data / "images" / "0001.png"), "--chips", "--format", "json"]
    asked = CliRunner().invoke(app, [*model, "--model", "out/recalibrated.onnx"])
    assert asked.exit_code == 0, asked.output
    assert json.loads(asked.stdout)[0]["faces"][0]["gender"] == "female"


def test_a_folder_that_is_no_dataset(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(DatasetError, match=r"Import it first: agelens data import .* data align"):
        run(tmp_path / "photos", tmp_path / "out", tiny_model)
    with pytest.raises(DatasetError, match="is not a dataset folder"):
        run(tmp_path / "nowhere", tmp_path / "out", tiny_model)
    assert not (tmp_path / "out").exists()


def test_faces_without_a_gender_are_refused_as_evaluate_does(
    tmp_path: Path, tiny_model: Path
) -> None:
    data = write_honest(tmp_path / "mine", tiny_model, 4)
    table = pl.read_parquet(data / "samples.parquet")
    table = table.with_columns(pl.lit(None, pl.String).alias("gender"))
    table.write_parquet(data / "samples.parquet")
    with pytest.raises(DatasetError, match=r"4 of 4 samples in .* carry no gender"):
        run(data, tmp_path / "out", tiny_model)


def test_faces_that_the_model_learnt_from_are_counted(
    make_model: Callable[..., Path], tiny_model: Path
) -> None:
    names = [name for name, fold in published().items() if fold in (0, 7, 8)][:3000]
    learnt = sum(published()[name] in (0, 7) for name in names)
    known = Model(make_model({"name": "k", "data": {"folds": "v1", "split": 0}}), 1)
    assert 0 < learnt < len(names)
    assert evaluate.count_training_pictures(known, [*names, "mine.jpg"]) == learnt
    assert evaluate.count_training_pictures(Model(tiny_model, 1), names) is None


# -- the halves


def table(folds: list[int], **columns: list[object]) -> pl.DataFrame:
    digests = [f"{number:064}" for number in range(len(folds))]
    return pl.DataFrame({"fold": folds, "sha256": digests, **columns})


def test_whole_folds_go_to_one_half() -> None:
    samples = table([number % 10 for number in range(1000)])
    halves = split_in_half(samples, 0)
    assert (halves.by, int(halves.fit.sum())) == ("folds", 500)
    folds = samples["fold"].to_numpy()
    assert not set(folds[halves.fit]) & set(folds[halves.check])
    assert np.array_equal(split_in_half(samples, 0).fit, halves.fit)
    assert any(
        not np.array_equal(split_in_half(samples, seed).fit, halves.fit) for seed in range(1, 5)
    )


def test_one_fold_is_parted_by_people_or_photos() -> None:
    people = [f"p{number // 7}" if number % 3 else None for number in range(700)]
    samples = table([3] * 700, subject=people)
    halves = split_in_half(samples, 1)
    assert halves.by == "people"
    assert abs(halves.fit.mean() - 0.5) < 0.05
    told = np.array([one is not None for one in people])
    names = np.array(people, object)
    assert not set(names[halves.fit & told]) & set(names[halves.check & told])
    copies = table([3] * 700).with_columns(
        pl.Series("sha256", [f"{n // 2:064}" for n in range(700)])
    )
    halves = split_in_half(copies, 1)
    assert halves.by == "photos"
    assert np.array_equal(halves.fit[::2], halves.fit[1::2])


def test_halves_that_are_too_small_are_refused() -> None:
    assert int(split_in_half(table([n % 2 for n in range(2 * MIN_HALF)]), 0).fit.sum()) == MIN_HALF
    with pytest.raises(DatasetError, match=f"expected at least {MIN_HALF}"):
        split_in_half(table([n % 2 for n in range(2 * MIN_HALF - 2)]), 0)
    with pytest.raises(DatasetError, match="0 faces are too few"):
        split_in_half(table([]), 0)


# -- the rules


@pytest.mark.parametrize(
    ("coverage", "word"),
    [
        (Estimate(0.80, 0.77, 0.83), "narrow"),
        (Estimate(0.885, 0.88, 0.89), "holds"),  # more than chance, less than matters
        (Estimate(0.97, 0.96, 0.98), "wide"),
        (Estimate(0.91, 0.87, 0.94), "holds"),
        (Estimate(0.85, 0.75, 0.95), "open"),
        (Estimate(0.85, float("nan"), float("nan")), "few"),
    ],
)
def test_verdicts_on_intervals(coverage: Estimate, word: str) -> None:
    assert verdicts.interval_verdict(coverage, True) == word
    assert verdicts.interval_verdict(coverage, False) == "few"


@pytest.mark.parametrize(
    ("sureness", "lean", "error", "word"),
    [
        (-0.05, 0.0, 0.05, "sure"),
        (0.05, 0.0, 0.05, "modest"),
        (0.0, 0.06, 0.03, "female"),
        (0.0, -0.06, 0.03, "male"),
        (0.0, 0.0, 0.06, "uneven"),
        (0.015, -0.015, 0.03, "holds"),  # less than matters
    ],
)
def test_verdicts_on_gender(sureness: float, lean: float, error: float, word: str) -> None:
    told, turned, off = (Estimate(v, v - 0.01, v + 0.01) for v in (sureness, lean, error))
    assert verdicts.gender_verdict(told, turned, off, 0.04) == word
    unsure = Estimate(sureness, sureness - 0.1, sureness + 0.1)
    assert verdicts.gender_verdict(
        unsure, Estimate(lean, -0.2, 0.2), Estimate(0.03, 0, 1), 0.04
    ) == ("holds")


def test_385_faces_tell_a_coverage_to_three_points() -> None:
    needed = verdicts.faces_needed()
    assert needed == 385
    assert 1.96 * np.sqrt(0.9 * 0.1 / needed) <= 0.03 < 1.96 * np.sqrt(0.9 * 0.1 / (needed - 1))


@pytest.mark.parametrize(
    ("before", "after", "moved", "change"),
    [
        (0.80, 0.90, 0.10, 1),  # failed, holds
        (0.70, 0.80, 0.10, 1),  # still fails, but less
        (0.97, 0.91, -0.06, 1),
        (0.90, 0.80, -0.10, -1),  # held, fails
        (0.80, 0.70, -0.10, -1),
        (0.80, 0.98, 0.18, 0),  # fails on the other side
        (0.90, 0.92, 0.02, 0),  # held, and holds
    ],
)
def test_when_a_coverage_came_nearer(
    before: float, after: float, moved: float, change: int
) -> None:
    old, new = (Estimate(value, value - 0.03, value + 0.03) for value in (before, after))
    gap = Estimate(moved, moved - 0.01, moved + 0.01)
    assert recalibrate.coverage_change(old, new, gap) == change
    assert recalibrate.coverage_change(old, new, Estimate(moved, moved - 0.5, moved + 0.5)) == 0


def test_honest_probabilities_miss_by_as_much_as_theory_says() -> None:
    said = verdicts.expected_calibration_error(np.full(1000, 0.8))
    # one bin: the mean of the size of a normal deviation, and its 95th percentile
    spread = np.sqrt(0.8 * 0.2 / 1000)
    assert said["mean"] == pytest.approx(spread * np.sqrt(2 / np.pi), rel=0.05)
    assert said["chance"] == pytest.approx(1.96 * spread, rel=0.07)


def test_excess_is_nothing_for_honest_probabilities_and_not_for_others() -> None:
    random = np.random.default_rng(0)
    said = random.uniform(0.02, 0.98, 4000)
    female = random.random(4000) < said
    weights = bootstrap.resample(np.arange(4000), 400)
    for figure in verdicts.excess_losses(said, female, weights).values():
        assert figure["excess"]["low"] < 0 < figure["excess"]["high"]
    surer = said**3 / (said**3 + (1 - said) ** 3)
    for figure in verdicts.excess_losses(surer, female, weights).values():
        assert figure["excess"]["low"] > 0


def test_the_interval_score_weighs_width_against_misses() -> None:
    low, high = np.array([20.0, 30.5, 40.0]), np.array([30.0, 35.5, 44.0])
    faces = replace(
        _drawn_faces(3), age=np.array([25, 30, 50]), age_low=low, age_high=high
    )  # inside, inside by the year, 6 years outside
    score = recalibrate.interval_score(faces)(np.ones((1, 3)))
    assert score[0] == pytest.approx((10 + 5 + 4 + 20 * 6) / 3)


def test_a_rare_gender_is_left_as_it_is() -> None:
    faces = _drawn_faces(200)
    assert recalibrate.fit(faces)[0].gender != 1
    rare = replace(faces, female=np.arange(200) < 19)
    scaling, _ = recalibrate.fit(rare)
    assert (scaling.gender, scaling.bias) == (1.0, 0.0)
    assert scaling.age != 1


def _drawn_faces(count: int) -> Faces:
    random = np.random.default_rng(4)
    centre = random.uniform(30, 60, count)
    spread = np.exp(-((np.arange(117) - centre[:, None]) ** 2) / (2 * 3.0**2))
    spread = (spread / spread.sum(axis=1, keepdims=True)).astype(np.float32)
    ages = np.round(centre + random.normal(0, 5, count)).astype(np.int64)
    said = random.uniform(0.05, 0.95, count)
    return Faces.from_distributions(ages, random.random(count) < said**2, spread, said)


# -- the model file


def some_chips() -> NDArray[np.uint8]:
    random = np.random.default_rng(8)
    return np.stack([chip(age, age % 2 == 1, random) for age in range(40, 60, 4)])


LEVELS = Levels.between(0.1, 0.8)


def test_a_scaling_is_done_in_the_graph(tiny_model: Path, tmp_path: Path) -> None:
    model, seen = Model(tiny_model, 1), some_chips()
    file = tmp_path / "new.onnx"
    new = onnx_graph.write(model, file, Scaling(0.5, 2.0, 0.3), LEVELS, {"on": "mine"}, seen)
    old, now = model.run(seen), new.run(seen)
    wanted = np.sqrt(old.age_probabilities.astype(np.float64))
    wanted /= wanted.sum(axis=1, keepdims=True)
    assert np.allclose(now.age_probabilities, wanted, atol=1e-5)
    assert np.allclose(now.age_years, distribution.median(wanted), atol=1e-3)
    odds = old.female_probability / (1 - old.female_probability)
    moved = odds**2 * np.exp(0.3)
    assert np.allclose(now.female_probability, moved / (1 + moved), atol=1e-5)
    assert new.interval_levels().low[50] == pytest.approx(0.1)
    assert new.card["name"] == "tiny"
    assert new.card["recalibrated"]["scaling"] == {"age": 0.5, "gender": 2.0, "bias": 0.3}
    assert [path.name for path in tmp_path.iterdir()] == ["new.onnx"]


def test_a_model_may_be_calibrated_twice(make_model: Callable[..., Path], tmp_path: Path) -> None:
    card = {
        "name": "tiny", "test": {"age_mae": 4.0}, "validation": {},
        "scaling": {"age": 1.5, "gender": 0.5, "bias": 0.2},
    }  # fmt: skip
    model, seen = Model(make_model(card), 1), some_chips()
    once = onnx_graph.write(model, tmp_path / "1.onnx", Scaling(0.5, 2.0, 0.3), LEVELS, {}, seen)
    twice = onnx_graph.write(once, tmp_path / "2.onnx", Scaling(2.0, 0.5, -0.15), LEVELS, {}, seen)
    old, now = model.run(seen), twice.run(seen)
    assert np.allclose(now.age_probabilities, old.age_probabilities, atol=1e-5)
    assert np.allclose(now.female_probability, old.female_probability, atol=1e-5)
    assert once.card["scaling"] == {"age": 0.75, "gender": 1.0, "bias": 0.7}
    assert twice.card["scaling"] == card["scaling"]
    assert not {"test", "validation"} & set(once.card)  # figures of another model


def test_an_old_graph_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    old = onnx.load(tiny_model)
    old.opset_import[0].version = 12
    fake = tmp_path / "old.onnx"
    onnx.save(old, fake)
    model = Model(tiny_model, 1)
    model.path = fake
    with pytest.raises(ModelError, match="has ONNX opset 12, expected 13 or newer"):
        onnx_graph.write(model, tmp_path / "new.onnx", Scaling(), LEVELS, {}, some_chips())
    assert not (tmp_path / "new.onnx").exists()


def test_a_file_that_does_not_do_as_fitted_is_not_left(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        onnx_graph, "scale_logits", lambda spread, scale: np.roll(spread, 1, axis=1)
    )
    with pytest.raises(ModelError, match=r"is off by 1\.\d+ years"):
        onnx_graph.write(
            Model(tiny_model, 1), tmp_path / "new.onnx", Scaling(0.5), LEVELS, {}, some_chips()
        )
    assert list(tmp_path.iterdir()) == []
