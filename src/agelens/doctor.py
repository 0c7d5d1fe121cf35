"""Check the installation: versions, models, the face detector, a self-test and its speed.

Expected are the SHA-256 of each model and its predictions for `selftest.jpg` (NASA's portrait of
Eileen Collins, public domain), as `weights/recorded.json` has them since the model was shipped.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from importlib import metadata, resources
from pathlib import Path
from typing import Any, TypeAlias

from packaging.requirements import Requirement

from agelens.provenance import median_milliseconds, sha256

TOLERANCES = {"age": 0.5, "female_probability": 0.02, "box": 2.0}
"""Differences that processors and versions may make to the self-test: years, share, pixels."""
TIMED = 9  # predictions of which the median time is reported
EXTRAS = {  # what each extra of the package adds
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
    checks: dict[str, Callable[[], Finding]] = {"packages": _packages, "detector": _detector}
    if "AGELENS_MODEL" in os.environ:
        checks["AGELENS_MODEL"] = _chosen_model
    try:
        from agelens.inference import runtime

        names = list(runtime.shipped())
    except ImportError:  # the check of the packages reports it
        names = ["default"]
    checks |= {f"model {name}": partial(_model, name) for name in names}
    checks |= {f"self-test {name}": partial(_self_test, name) for name in names}
    for name, check in checks.items():
        try:
            yield Check(name, *check())
        except Exception as error:  # even a package that cannot be imported is a result here
            yield Check(name, Health.BROKEN, f"{type(error).__name__}: {error}")


def extras() -> list[Extra]:
    """Return the extras of the package, each with its missing requirements."""
    optional = [one for one in _requirements() if not _is_needed(one)]
    needed = {name: [one for one in optional if _is_needed(one, name)] for name in EXTRAS}
    return [Extra(name, EXTRAS[name], _unmet(own)) for name, own in needed.items() if own]


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


def _packages() -> Finding:
    base = list(filter(_is_needed, _requirements()))
    if not base:
        return Health.WARNING, "agelens is used without being installed by pip"
    found = {one.name: _version(one.name) for one in base}
    if unmet := _unmet(base):
        install = " ".join(f"'{problem.partition(' (')[0]}'" for problem in unmet)
        return Health.BROKEN, f"{', '.join(unmet)}: run  pip install {install}", found
    others = [name for name in ("opencv-python", "opencv-contrib-python") if _version(name)]
    if others:  # they write into the same folder as opencv-python-headless
        advice = "is installed beside opencv-python-headless: keep one of them"
        return Health.WARNING, f"{others[0]} {advice}", found
    return Health.OK, ", ".join(f"{name} {version}" for name, version in found.items()), found


def _detector() -> Finding:
    from agelens.faces.detector import Detector
    from agelens.faces.yunet import SHA256, WEIGHTS

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
    health, text = Health.OK, f"{digest[:12]}… as recorded"
    if expected is None:
        health, text = Health.WARNING, f"{digest}: none is recorded"
    elif digest != expected:
        problem = "the file was changed or damaged, so install its package again"
        health, text = Health.BROKEN, f"{digest}: expected {expected}; {problem}"
    facts = {"file": file.name, "sha256": digest, "recorded": expected}
    return health, f"{about}, SHA-256 {text}", facts


def _self_test(name: str) -> Finding:
    import numpy as np

    from agelens.inference.runtime import locate

    found, expected, speed = answers(locate(name)), _recorded(name).get("self_test"), _speed(name)
    facts = {"answers": found, "recorded": expected, **speed}
    face, picture = speed.values()
    times = f"{face:.1f} ms per face, {picture:.0f} ms with its detection, on one thread"
    if expected is None:
        return Health.WARNING, f"no prediction is recorded; {times}", facts
    if found["faces"] != expected["faces"] or not all(
        np.allclose(found[key], expected[key], rtol=0, atol=tolerance)
        for key, tolerance in TOLERANCES.items()
    ):
        return Health.BROKEN, f"predicted {found}: expected {expected}; {times}", facts
    result = f"age {found['age'][0]:.1f}, female {found['female_probability'][0]:.1%}"
    return Health.OK, f"{result} as recorded; {times}", facts


def _speed(name: str) -> dict[str, float]:
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


def _recorded(name: str) -> dict[str, Any]:
    file = resources.files("agelens") / "weights" / "recorded.json"
    recorded = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return dict(recorded.get(name, {}))


def _requirements() -> list[Requirement]:
    with suppress(metadata.PackageNotFoundError):
        return [Requirement(text) for text in metadata.requires("agelens") or ()]
    return []


def _is_needed(requirement: Requirement, extra: str = "") -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _unmet(requirements: Iterable[Requirement]) -> tuple[str, ...]:
    here = [(one, _version(one.name)) for one in requirements]
    return tuple(
        f"{one.name}{one.specifier}" + (f" (here is {version})" if version else "")
        for one, version in here
        if version is None or not one.specifier.contains(version, prereleases=True)
    )


def _version(package: str) -> str | None:
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    return None
