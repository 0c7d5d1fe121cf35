"""benchmarks/peers with fake peers: running them, their figures, the record. Needs no Node.js."""

import fcntl
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import tables
from agelens.data.dataset import Dataset
from agelens.errors import ConfigError
from agelens.evaluation import bootstrap, metrics
from drawn import write_dataset

Run = Callable[..., dict[str, Any]]
PEERS = Path(__file__).parents[1] / "benchmarks" / "peers"
with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(PEERS)
    import comparison
    import runner
    import store

    import peers

# Sees the middle of a picture: green is the age, more red than blue is female, white is no face.
# Its arguments are a file in which it counts the pictures, and after how many it fails.
FAKE = """
import sys
from pathlib import Path
sys.path.insert(0, {peers!r})
from worker import Peer, parser, serve

def main():
    print("peers chatter on standard output")
    words = parser()
    words.add_argument("log", type=Path)
    words.add_argument("breaks", type=int, nargs="?")
    given = words.parse_args()
    seen = 0

    def pipeline(picture):
        nonlocal seen
        if seen == given.breaks:
            raise RuntimeError("the fake peer broke")
        seen += 1
        with given.log.open("a") as log:
            log.write(str(int(picture[0, 0, 0])) + "\\n")
        red, green, blue = (int(colour) for colour in picture[len(picture) // 2, len(picture) // 2])
        if (red, green, blue) == (255, 255, 255):
            return None
        gender = None if red == blue else "female" if red > blue else "male"
        return {{"age": green, "gender": gender}}

    def cut(picture):
        return None if picture.min() == 255 else picture

    serve(Peer(("numpy",), [Path(__file__)], [], pipeline, cut, lambda face: face.mean()), given)

main()
"""


@pytest.fixture
def fake(tmp_path: Path) -> list[str]:
    script = tmp_path / "fake_peer.py"
    script.write_text(FAKE.format(peers=str(PEERS)), "utf-8")
    return [sys.executable, str(script), str(tmp_path / "log")]


def chip(*colour: int) -> NDArray[np.uint8]:
    return np.full((200, 200, 3), colour, np.uint8)


CHIPS = [chip(90, 30, 10), chip(255, 255, 255), chip(5, 61, 80), chip(7, 8, 7)]
ANSWERS = [{"age": 30, "gender": "female"}, None, {"age": 61, "gender": "male"},
           {"age": 8, "gender": None}]  # fmt: skip


def labelled(age: NDArray, female: NDArray) -> comparison.Faces:
    return comparison.Faces([], age, female, np.empty(0))


def test_answers_keep_the_order_of_the_chips(fake: list[str], tmp_path: Path) -> None:
    about, *answers = runner.answers(fake, CHIPS, runner.Border(0.25, "black"))
    size = Path(fake[1]).stat().st_size
    assert about["versions"]["numpy"] == np.__version__
    assert (about["weights"], answers) == ({"model": size, "pipeline": size}, ANSWERS)
    assert (tmp_path / "log").read_text().split() == ["0"] * 4  # the corner is the border


def test_borders() -> None:
    picture = chip(9, 8, 7)
    picture[0, 0] = 50
    black = runner.Border(0.5, "black").around(picture)
    edge = runner.Border(0.25, "edge").around(picture)
    assert black.shape == (400, 400, 3) and not black[0, 0].any()
    np.testing.assert_array_equal(black[100:300, 100:300], picture)
    assert edge.shape == (300, 300, 3) and (edge[0, 0] == 50).all()
    assert runner.Border().around(picture).shape == picture.shape
    assert [str(border) for border in runner.BORDERS[:3]] == ["none", "black 25%", "edge 25%"]
    assert all(border.side == border.around(picture).shape[0] for border in runner.BORDERS)


@pytest.mark.parametrize(("program", "says"), [
    ("", r"(?s)ended with 1.*the fake peer broke"),
    ("print('not JSON')", "wrote b'not JSON"),
    ("print('{}'); print('null')", "1 answers on 4 pictures"), ("pass", "ended with 0"),
])  # fmt: skip
def test_failing_peers_and_invalid_answers_raise(fake: list[str], program: str, says: str) -> None:
    command = [sys.executable, "-c", f"import sys; sys.stdin.buffer.read(); {program}"]
    with pytest.raises(runner.PeerFailed, match=says):
        list(runner.answers(command if program else [*fake, "2"], CHIPS, runner.Border()))


def test_unreadable_chips_and_missing_programs_are_errors(
    fake: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreadable = Mock(side_effect=OSError("a damaged chip"))
    with pytest.raises(OSError, match="a damaged chip"):
        list(runner.answers(fake, iter(unreadable, None), runner.Border()))
    with pytest.raises(runner.PeerFailed, match=r"no Python at .*README\.md"):
        runner.command(["python", "x.py"], tmp_path / "python")
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(runner.PeerFailed, match=r"no Node\.js.*README\.md"):
        runner.command(["node", "x.mjs"], tmp_path / "python")


def test_figures_cover_answered_faces_only() -> None:
    random = np.random.default_rng(5)
    faces = labelled(random.integers(0, 90, 400), random.random(400) < 0.5)
    ages, female = faces.age + random.normal(0, 7, 400), faces.female ^ (random.random(400) < 0.1)
    found = random.random(400) >= 0.2
    known = (np.where(found, values, np.nan) for values in (ages, female))
    weights = bootstrap.resample(np.arange(400))
    told = comparison.figures(comparison.Answers(found, *known), faces, weights)
    older, said = found & (faces.age >= 13), (ages[found], faces.age[found])
    expected = {
        "age_mae": metrics.age_mae(*said), "age_bias": metrics.age_bias(*said),
        "age_within_5": metrics.cumulative_score(*said, 5),
        "gender_accuracy": metrics.gender_accuracy(female[found], faces.female[found]),
        "gender_accuracy_13_and_older": metrics.gender_accuracy(female[older], faces.female[older]),
    }  # fmt: skip
    values = {name: figure["value"] for name, figure in told["figures"].items()}
    assert values == pytest.approx(expected)
    assert all(f["low"] < f["value"] < f["high"] for f in told["figures"].values())
    assert told["found"]["faces"] == found.sum()
    assert told["found"]["share"]["value"] == pytest.approx(found.mean())
    assert told["found_without_age"] == told["found_without_gender"] == 0


def test_comparison_uses_faces_that_both_answer() -> None:
    faces = labelled(np.array([20, 30, 40, 50]), np.array([True, True, False, False]))
    found, none = np.array([True, False, True, True]), np.nan
    theirs = comparison.Answers(found, np.array([30, none, 44, none]), np.array([0, none, none, 0]))
    ours = comparison.Answers(found | True, np.array([21, 99, 40, 52.0]), np.array([1, 0, 0, 1.0]))
    told = comparison.compare(theirs, ours, faces, bootstrap.resample(np.arange(4)))
    assert told["faces"] == 3
    sides = [told[side] for side in ("theirs", "ours", "difference")]
    assert [side["age_mae"]["value"] for side in sides] == [7, 0.5, -6.5]  # faces 0 and 2
    assert [side["gender_accuracy"]["value"] for side in sides] == [0.5, 0.5, 0]  # faces 0 and 3
    alone = comparison.figures(theirs, faces, bootstrap.resample(np.arange(4)))
    assert (alone["found_without_age"], alone["found_without_gender"]) == (1, 1)


ANSWER = st.fixed_dictionaries(
    {"age": st.none() | st.floats(0, 120), "gender": st.sampled_from(["female", "male", None])}
)


@given(st.lists(st.none() | ANSWER, min_size=1, max_size=30))
def test_reading_keeps_every_answer(lines: list[dict[str, Any] | None]) -> None:
    answers = comparison.Answers.read(json.loads(json.dumps(lines)))
    genders = {1.0: "female", 0.0: "male"}
    again = [
        {"age": None if np.isnan(age) else age, "gender": genders.get(female)} if found else None
        for found, age, female in zip(answers.found, answers.age, answers.female, strict=True)
    ]
    assert again == lines
    with pytest.raises(ValueError, match="gender 'Female': expected"):
        comparison.Answers.read([{"age": 3, "gender": "Female"}])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("peers"), 60)


@pytest.fixture
def run(dataset: Path, fake: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    facts = {"trained_on": "colours", "utkface": "no", "sources": ["a page"], "licence": "MIT"}
    entry = {"name": "fake", "package": "fake 1.0 (PyPI)", "detector": "eyes", **facts,
             "program": ["python", *fake[1:]]}  # fmt: skip
    left = [{"package": "other 2.0 (PyPI)", "why": "weights not in the package"}]
    monkeypatch.setattr(runner, "catalogue", lambda: {"peer": [entry], "left_out": left})
    own = [
        runner.Peer(f"agelens {name}", "agelens", entry["program"], detector, {}, "", ours=True)
        for name, detector in (("finds", "eyes"), ("fake", None))
    ]
    monkeypatch.setattr(runner, "peers", lambda *_: [*own, *runner.others(None)])
    monkeypatch.setattr(peers, "RESULT", tmp_path / "results" / "peers.json")
    monkeypatch.setattr(peers, "pin", lambda: False)
    monkeypatch.setattr(peers, "TURNS", 1)

    def run(*more: str) -> dict[str, Any]:
        words = ["peers.py", "--data", str(dataset), "--work", str(tmp_path / "work")]
        monkeypatch.setattr(sys, "argv", [*words, "--python", sys.executable, *more])
        peers.main()
        record: dict[str, Any] = json.loads((tmp_path / "results" / "peers.json").read_text())
        return record

    return run


def test_record_with_kept_answers_and_times(run: Run, dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"no peers\.json yet"):
        run("--time", "1")
    record, opened = run(), Dataset(dataset)
    assert record["faces"] == len(opened.split(0).test) > 3
    assert record["data"]["fingerprint"] == opened.fingerprint
    (border,) = record["borders"]["eyes"].items()  # it misses none, so no other is tried
    assert (border[0], border[1]["found"]) == ("none", 1)
    _, ours, theirs = record["peers"]
    assert [row["name"] for row in record["peers"]] == ["agelens finds", "agelens fake", "fake"]
    assert theirs["border"] == "none" and ours["border"] is None
    assert theirs["same_faces"]["agelens finds"]["difference"]["age_mae"]["value"] == 0
    assert (theirs["trained_on"], record["timing"]) == ("colours", None)
    assert record["left_out"][0]["package"] == "other 2.0 (PyPI)"
    assert str(tmp_path) not in record["command"] and str(dataset) not in record["command"]
    asked, timing = (tmp_path / "log").read_text(), run("--time", "2")["timing"]
    assert timing["rounds"] == 2
    assert set(timing["milliseconds"]) == {"agelens finds", "agelens fake", "fake"}
    assert all(0 < ms < 1000 for parts in timing["milliseconds"].values() for ms in parts.values())
    (tmp_path / "log").write_text(asked)  # without the timed ones
    again = run()
    assert (tmp_path / "log").read_text() == asked  # kept answers, none asked for twice
    assert (again["peers"], again["timing"]) == (record["peers"], timing)
    rows = tables.render("peers", record=again).splitlines()
    assert rows[0].count("|") == rows[2].count("|") == rows[4].count("|")
    assert rows[4].startswith("| fake | 100.0% |") and "+0.00 (+0.00 to +0.00)" in rows[4]
    assert f"{record['faces']:,} faces" in rows[-1]
    origins = tables.render("peers_origins", record=record)
    assert "| fake | fake 1.0 (PyPI) | no | colours |" in origins
    assert "other 2.0 (PyPI): weights not in the package" in origins


def test_the_border_finding_most_is_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    faces = labelled(np.full(4, 30), np.full(4, True))
    told = {"none": (0.5, 1.0), "black 25%": (1.0, 5.0), "edge 25%": (1.0, 4.0)}

    def answers(peer: Any, faces: Any, border: Any) -> Any:
        found, off = told[str(border)]  # a border that is not there must not be asked for
        line = {"age": 30 + off, "gender": "female"}
        lines = [line if place < 4 * found else None for place in range(4)]
        return {}, comparison.Answers.read(lines)

    kept_answers = store.AnswerStore(tmp_path, {}, None)
    monkeypatch.setattr(kept_answers, "answers", answers)
    trials = kept_answers.trials(None, faces)
    assert {str(border): (t.found, t.age_mae) for border, t in trials.items()} == told
    assert str(store.best(trials)) == "edge 25%"


def test_an_interrupted_run_resumes_unless_another_continues(run: Run, tmp_path: Path) -> None:
    whole = run()
    log, faces = tmp_path / "log", whole["faces"]
    kept = max((tmp_path / "work").glob("fake-*.jsonl"), key=lambda file: file.stat().st_size)
    lines = kept.read_text().splitlines(keepends=True)
    begun = "".join(lines[:3]) + lines[3][:4]  # two answers, and the start of a third
    kept.write_text(begun)
    log.unlink()
    with kept.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SystemExit, match="fake is being run by another process"):
            run()
    assert kept.read_text() == begun
    assert run()["peers"] == whole["peers"]
    assert len(log.read_text().split()) == faces - 2
    assert kept.read_text() == "".join(lines)


def test_the_catalogue_is_complete() -> None:
    for entry in runner.catalogue()["peer"]:
        assert (PEERS / entry["program"][1]).is_file()
        assert entry["utkface"] in ("yes", "no", "not told") and entry["sources"]
    pinned = json.loads((PEERS / "package.json").read_text("utf-8"))["dependencies"]
    for file in ("requirements.txt", "requirements-no-deps.txt"):
        lines = (PEERS / file).read_text("utf-8").splitlines()
        pinned |= dict(line.split("==") for line in lines if not line.startswith("#"))
    for peer in runner.others(None):
        parts = dict(part.split() for part in peer.package.rsplit(" (", 1)[0].split(" + "))
        assert pinned.items() >= parts.items()
    with pytest.raises(ConfigError, match="no peer nobody: expected human: faceres"):
        runner.others(["nobody"])
