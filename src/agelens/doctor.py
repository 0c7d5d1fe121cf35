"""Is this installation whole? Versions, models, the face detector, a self-test, its speed.

What is compared stands in `weights/recorded.json`, written when a model is shipped: the
SHA-256 of the file, and what the model says of `selftest.jpg` (NASA's portrait of Eileen
Collins, public domain, cut and shrunk to 200 px).
"""

import hashlib
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

YEARS = 0.5  # by which an age of the self-test may differ between processors and versions
SHARE = 0.02  # and a probability
PIXELS = 2.0  # and an edge of the box
TIMED = 9  # faces whose median time is told, after one that warms up

EXTRAS = {
    "data": "import, explore and audit datasets; evaluate, report and model cards",
    "train": "train, tune, combine, export and quantize models",
    "timm": "start from any network of timm",
    "serve": "answers over HTTP, and the web page",
    "video": "films and cameras",
    "frames": "predictions as Polars or pandas frames",
    "supervision": "predictions as supervision.Detections",
    "batch": "any number of pictures, from and to remote storage, as Parquet",
    "scale": "the same over many machines",
}
"""What each extra of the package gives."""


class Health(StrEnum):
    """What came of a check."""

    OK = "ok"
    WARNING = "warning"  # works, and is not as it should be
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    health: Health
    text: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Extra:
    """An optional part of the package."""

    name: str
    gives: str
    missing: tuple[str, ...]  # requirements that are not met; none: it is installed


def examine() -> Iterator[Check]:
    """Check one thing after another; an error of any kind becomes a broken check."""
    yield _guarded("packages", _packages)
    yield _guarded("detector", _detector)
    if "AGELENS_MODEL" in os.environ:
        yield _guarded("AGELENS_MODEL", _chosen)
    names = _shipped()
    for name in names:
        yield _guarded(f"model {name}", partial(_model, name))
    for name in names:
        yield _guarded(f"self-test {name}", partial(_self_test, name))


def extras() -> list[Extra]:
    """Give the extras of the package, with what is not installed of each."""
    wanted: dict[str, list[str]] = {name: [] for name in EXTRAS if name in _provided()}
    for requirement in _requirements():
        for name, missing in wanted.items():
            marker = requirement.marker
            if marker and marker.evaluate({"extra": name}) and not marker.evaluate({"extra": ""}):
                problem = _unmet(requirement)
                missing += [problem] if problem else []
    return [Extra(name, EXTRAS[name], tuple(missing)) for name, missing in wanted.items()]


def answers(model: Path) -> dict[str, Any]:
    """Give what a model file says of the self-test's picture, as it is recorded."""
    from agelens.predictor import load

    predictions = load(model, threads=1).predict(_picture())
    return {
        "faces": len(predictions),
        "age": [round(one.age, 3) for one in predictions],
        "female_probability": [round(one.female_probability, 4) for one in predictions],
        "box": [one.to_dict()["box"] for one in predictions],
    }


def sha256(file: Path) -> str:
    """Give the SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:  # also a package that cannot be imported is an answer here
        return Check(name, Health.BROKEN, f"{type(error).__name__}: {error}")


def _packages() -> Check:
    base = [r for r in _requirements() if r.marker is None or r.marker.evaluate({"extra": ""})]
    if not base:
        return Check("packages", Health.WARNING, "agelens is used without being installed by pip")
    unmet = [problem for requirement in base if (problem := _unmet(requirement))]
    found = {r.name: _version(r.name) for r in base}
    if unmet:
        advice = " ".join(f"'{problem.partition(' (')[0]}'" for problem in unmet)
        return Check(
            "packages", Health.BROKEN, f"{', '.join(unmet)}: run  pip install {advice}", found
        )
    others = [name for name in ("opencv-python", "opencv-contrib-python") if _version(name)]
    if others:  # they write into the same folder as opencv-python-headless
        return Check(
            "packages", Health.WARNING,
            f"{others[0]} is installed beside opencv-python-headless: keep one of them", found,
        )  # fmt: skip
    told = ", ".join(f"{name} {version}" for name, version in found.items())
    return Check("packages", Health.OK, told, found)


def _detector() -> Check:
    from agelens.faces.detector import SHA256, WEIGHTS, Detector

    Detector()
    return _compared("detector", WEIGHTS, SHA256, f"{WEIGHTS.name}, ")


def _chosen() -> Check:
    from agelens.inference.runtime import Model

    model = Model(None, threads=1)
    name = os.environ["AGELENS_MODEL"]
    return Check("AGELENS_MODEL", Health.OK, f"{name!r}, {model.card.get('name', 'unnamed')}")


def _model(name: str) -> Check:
    from agelens.inference.runtime import Model

    model = Model(name, threads=1)
    about = f"{model.card.get('name', '?')}, {model.path.stat().st_size / 1e6:.1f} MB, "
    return _compared(f"model {name}", model.path, _recorded(name).get("sha256"), about)


def _compared(name: str, file: Path, expected: str | None, about: str) -> Check:
    digest = sha256(file)
    facts = {"file": file.name, "sha256": digest, "recorded": expected}
    if expected is None:
        return Check(name, Health.WARNING, f"{about}SHA-256 {digest}: none is recorded", facts)
    if digest != expected:
        return Check(
            name, Health.BROKEN,
            f"{about}SHA-256 {digest}: expected {expected}; the file was changed or damaged, so "
            "install its package again",
            facts,
        )  # fmt: skip
    return Check(name, Health.OK, f"{about}SHA-256 {digest[:12]}… as recorded", facts)


def _self_test(name: str) -> Check:
    from agelens.inference.runtime import locate

    told = answers(locate(name))
    expected = _recorded(name).get("self_test")
    speed = _speed(name)
    facts = {"answers": told, "recorded": expected, **speed}
    times = (
        f"{speed['milliseconds_a_face']:.1f} ms a face, "
        f"{speed['milliseconds_a_picture']:.0f} ms with finding it, on one thread"
    )
    if expected is None:
        return Check(f"self-test {name}", Health.WARNING, f"no answer is recorded; {times}", facts)
    if not _alike(told, expected):
        return Check(
            f"self-test {name}", Health.BROKEN, f"said {told}: expected {expected}; {times}", facts
        )
    said = f"age {told['age'][0]:.1f}, female {told['female_probability'][0]:.1%} as recorded"
    return Check(f"self-test {name}", Health.OK, f"{said}; {times}", facts)


def _alike(told: dict[str, Any], expected: dict[str, Any]) -> bool:
    import numpy as np

    bounds = (("age", YEARS), ("female_probability", SHARE), ("box", PIXELS))
    return told["faces"] == expected["faces"] and all(
        np.allclose(told[key], expected[key], rtol=0, atol=bound) for key, bound in bounds
    )


def _speed(name: str) -> dict[str, float]:
    """Take the time of the model alone for a face, and of all steps for the picture."""
    from agelens.faces.alignment import warp
    from agelens.faces.detector import Detector
    from agelens.images.decode import read
    from agelens.predictor import load

    predictor = load(name, threads=1)
    picture = read(_picture())
    (face,) = Detector().detect(picture)
    chip = warp(picture, face.landmarks)[None]
    return {
        "milliseconds_a_face": _milliseconds(lambda: predictor.model.run(chip)),
        "milliseconds_a_picture": _milliseconds(lambda: predictor.predict(picture)),
    }


def _milliseconds(call: Callable[[], object]) -> float:
    took = []
    for _ in range(TIMED + 1):
        start = time.perf_counter()
        call()
        took.append(time.perf_counter() - start)
    return 1000 * statistics.median(took[1:])


def _picture() -> bytes:
    return (resources.files("agelens") / "selftest.jpg").read_bytes()


def _shipped() -> list[str]:
    try:
        from agelens.inference.runtime import shipped

        return list(shipped())
    except ImportError:  # told by the checks of the packages
        return ["default"]


def _recorded(name: str) -> dict[str, Any]:
    file = resources.files("agelens") / "weights" / "recorded.json"
    if not file.is_file():
        return {}
    recorded: dict[str, Any] = json.loads(file.read_text("utf-8")).get(name, {})
    return recorded


def _requirements() -> list[Requirement]:
    try:
        return [Requirement(text) for text in metadata.requires("agelens") or ()]
    except metadata.PackageNotFoundError:
        return []


def _provided() -> list[str]:
    """Give the extras that the installed package knows; none where it is not installed."""
    try:
        return metadata.metadata("agelens").get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return []


def _unmet(requirement: Requirement) -> str | None:
    """Say what is wrong with a requirement: "polars>=1", "numpy>=1.26 (here is 1.24)"."""
    version = _version(requirement.name)
    wanted = f"{requirement.name}{requirement.specifier}"
    if version is None:
        return wanted
    if requirement.specifier.contains(version, prereleases=True):
        return None
    return f"{wanted} (here is {version})"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
