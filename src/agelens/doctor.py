"""Check the installation: versions, models, the face detector, a self-test and its speed.

The expected values are in `weights/recorded.json`, written when a model is shipped: the SHA-256
of the file, and its predictions for `selftest.jpg` (NASA's portrait of Eileen Collins, public
domain, cropped and shrunk to 200 px).
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from importlib import metadata, resources
from pathlib import Path
from typing import Any, TypeAlias

from packaging.requirements import Requirement

from agelens.stopwatch import median_milliseconds

TOLERANCES = {"age": 0.5, "female_probability": 0.02, "box": 2.0}
"""Differences that processors and versions may make to the self-test: years, share, pixels."""
TIMED = 9  # predictions of which the median time is reported

EXTRAS = {
    "data": "import, explore and audit data sets; evaluate, report and model cards",
    "train": "train, tune, combine, export and quantize models",
    "timm": "start from any network of timm",
    "serve": "predictions over HTTP, and the web page",
    "video": "clips and cameras",
    "frames": "predictions as Polars or pandas frames",
    "supervision": "predictions as supervision.Detections",
    "batch": "any number of pictures, from and to remote storage, as Parquet",
    "scale": "the same on many machines",
}
"""What each extra of the package adds."""


class Health(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"  # it works, but is not as it should be
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Check:
    """One checked part of the installation."""

    name: str
    health: Health
    text: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Extra:
    """An optional part of the package."""

    name: str
    gives: str
    missing: tuple[str, ...]  # unmet requirements; empty if it is installed


Finding: TypeAlias = tuple[Health, str] | tuple[Health, str, dict[str, Any]]


def examine() -> Iterator[Check]:
    """Run the checks one after another; an error of any kind becomes a broken check."""
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("packages", _packages),
        ("detector", _detector),
    ]
    if "AGELENS_MODEL" in os.environ:
        checks.append(("AGELENS_MODEL", _chosen_model))
    names = _shipped()
    checks += [(f"model {name}", partial(_model, name)) for name in names]
    checks += [(f"self-test {name}", partial(_self_test, name)) for name in names]
    for name, check in checks:
        try:
            yield Check(name, *check())
        except Exception as error:  # even a package that cannot be imported is a result here
            yield Check(name, Health.BROKEN, f"{type(error).__name__}: {error}")


def extras() -> list[Extra]:
    """Return the extras of the package, each with its missing requirements."""
    missing: dict[str, list[str]] = {name: [] for name in EXTRAS if name in _provided_extras()}
    for requirement in _requirements():
        marker, problem = requirement.marker, _unmet(requirement)
        for name, problems in missing.items():
            if marker and marker.evaluate({"extra": name}) and not marker.evaluate({"extra": ""}):
                problems += [problem] if problem else []
    return [Extra(name, EXTRAS[name], tuple(problems)) for name, problems in missing.items()]


def answers(model: Path) -> dict[str, Any]:
    """Return the predictions of a model file for the self-test's picture, as they are recorded."""
    from agelens.predictor import load

    predictions = load(model, threads=1).predict(_picture())
    return {
        "faces": len(predictions),
        "age": [round(one.age, 3) for one in predictions],
        "female_probability": [round(one.female_probability, 4) for one in predictions],
        "box": [one.to_dict()["box"] for one in predictions],
    }


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _packages() -> Finding:
    base = [r for r in _requirements() if r.marker is None or r.marker.evaluate({"extra": ""})]
    if not base:
        return Health.WARNING, "agelens is used without being installed by pip"
    unmet = [problem for requirement in base if (problem := _unmet(requirement))]
    found = {r.name: _version(r.name) for r in base}
    if unmet:
        install = " ".join(f"'{problem.partition(' (')[0]}'" for problem in unmet)
        return Health.BROKEN, f"{', '.join(unmet)}: run  pip install {install}", found
    others = [name for name in ("opencv-python", "opencv-contrib-python") if _version(name)]
    if others:  # they write into the same folder as opencv-python-headless
        advice = "is installed beside opencv-python-headless: keep one of them"
        return Health.WARNING, f"{others[0]} {advice}", found
    return Health.OK, ", ".join(f"{name} {version}" for name, version in found.items()), found


def _detector() -> Finding:
    from agelens.faces.detector import SHA256, WEIGHTS, Detector

    Detector()
    return _compare_file(WEIGHTS, SHA256, WEIGHTS.name)


def _chosen_model() -> Finding:
    from agelens.inference.runtime import Model

    card = Model(None, threads=1).card
    return Health.OK, f"{os.environ['AGELENS_MODEL']!r}, {card.get('name', 'unnamed')}"


def _model(name: str) -> Finding:
    from agelens.inference.runtime import Model

    model = Model(name, threads=1)
    about = f"{model.card.get('name', '?')}, {model.path.stat().st_size / 1e6:.1f} MB"
    return _compare_file(model.path, _recorded(name).get("sha256"), about)


def _compare_file(file: Path, expected: str | None, about: str) -> Finding:
    digest = sha256(file)
    facts = {"file": file.name, "sha256": digest, "recorded": expected}
    if expected is None:
        return Health.WARNING, f"{about}, SHA-256 {digest}: none is recorded", facts
    if digest != expected:
        problem = (
            f"SHA-256 {digest}: expected {expected}; the file was changed or damaged, so install "
            "its package again"
        )
        return Health.BROKEN, f"{about}, {problem}", facts
    return Health.OK, f"{about}, SHA-256 {digest[:12]}… as recorded", facts


def _self_test(name: str) -> Finding:
    from agelens.inference.runtime import locate

    found, expected, speed = answers(locate(name)), _recorded(name).get("self_test"), _speed(name)
    facts = {"answers": found, "recorded": expected, **speed}
    times = (
        f"{speed['milliseconds_a_face']:.1f} ms per face, "
        f"{speed['milliseconds_a_picture']:.0f} ms with its detection, on one thread"
    )
    if expected is None:
        return Health.WARNING, f"no prediction is recorded; {times}", facts
    if not _close(found, expected):
        return Health.BROKEN, f"predicted {found}: expected {expected}; {times}", facts
    result = f"age {found['age'][0]:.1f}, female {found['female_probability'][0]:.1%}"
    return Health.OK, f"{result} as recorded; {times}", facts


def _close(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    import numpy as np

    return found["faces"] == expected["faces"] and all(
        np.allclose(found[key], expected[key], rtol=0, atol=tolerance)
        for key, tolerance in TOLERANCES.items()
    )


def _speed(name: str) -> dict[str, float]:
    """Measure the model alone for a face, and all steps for the picture."""
    from agelens.faces.alignment import warp
    from agelens.faces.detector import Detector
    from agelens.images.decode import read
    from agelens.predictor import load

    predictor = load(name, threads=1)
    picture = read(_picture())
    (face,) = Detector().detect(picture)
    chip = warp(picture, face.landmarks)[None]
    return {
        "milliseconds_a_face": median_milliseconds(lambda: predictor.model.run(chip), TIMED),
        "milliseconds_a_picture": median_milliseconds(lambda: predictor.predict(picture), TIMED),
    }


def _picture() -> bytes:
    return (resources.files("agelens") / "selftest.jpg").read_bytes()


def _shipped() -> list[str]:
    try:
        from agelens.inference.runtime import shipped

        return list(shipped())
    except ImportError:  # the check of the packages reports it
        return ["default"]


def _recorded(name: str) -> dict[str, Any]:
    file = resources.files("agelens") / "weights" / "recorded.json"
    recorded = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return dict(recorded.get(name, {}))


def _requirements() -> list[Requirement]:
    try:
        return [Requirement(text) for text in metadata.requires("agelens") or ()]
    except metadata.PackageNotFoundError:
        return []


def _provided_extras() -> list[str]:
    """Return the extras of the installed package; none if it is not installed."""
    try:
        return metadata.metadata("agelens").get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return []


def _unmet(requirement: Requirement) -> str | None:
    """Describe an unmet requirement: "polars>=1", "numpy>=1.26 (here is 1.24)"."""
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
