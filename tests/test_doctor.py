import json
import re
import tomllib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from agelens import doctor, provenance
from agelens.doctor import Check, Health
from agelens.faces.yunet import SHA256
from agelens.inference import runtime
from commands import invoke

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    monkeypatch.setattr(doctor, "TIMED", 1)
    monkeypatch.delenv("AGELENS_MODEL", raising=False)


def test_this_installation_is_healthy() -> None:
    checks = {check.name: check for check in doctor.examine()}
    for name in runtime.shipped():
        for check in (checks[f"model {name}"], checks[f"self-test {name}"]):
            assert check.health is Health.OK, check.text
        assert min(check.facts[f"milliseconds_a_{part}"] for part in ("picture", "face")) > 0
    detector = checks["detector"]
    assert detector.health is Health.OK and detector.facts["sha256"] == SHA256
    assert checks["packages"].health is not Health.BROKEN, checks["packages"].text


def test_a_changed_model_is_broken_and_an_unrecorded_one_a_warning(
    monkeypatch, tmp_path: Path, tiny_model: Path
) -> None:
    half = tmp_path / "half.onnx"
    half.write_bytes(tiny_model.read_bytes()[:-500])
    models = {"default": tiny_model, "fast": half, "mine": tiny_model}
    monkeypatch.setattr(runtime, "shipped", lambda: models)
    checks = {check.name: check for check in doctor.examine()}
    for name, text in (
        ("model default", provenance.sha256(tiny_model)), ("model default", "expected"),
        ("self-test default", "predicted"), ("model fast", "not a readable ONNX model"),
    ):  # fmt: skip
        assert checks[name].health is Health.BROKEN and text in checks[name].text
    assert checks["model mine"].health is checks["self-test mine"].health is Health.WARNING
    assert checks["detector"].health is Health.OK  # each is checked on its own


def test_the_chosen_model_is_checked(monkeypatch, tiny_model: Path) -> None:
    for model, health in ((str(tiny_model), Health.OK), ("no such model", Health.BROKEN)):
        monkeypatch.setenv("AGELENS_MODEL", model)
        check = next(check for check in doctor.examine() if check.name == "AGELENS_MODEL")
        assert check.health is health
    assert "no such model" in check.text


@pytest.fixture
def requires(monkeypatch) -> Callable[..., None]:
    return lambda *texts: monkeypatch.setattr(
        doctor, "_requirements", lambda: [Requirement(text) for text in texts]
    )


def test_a_missing_or_outdated_package_is_broken(requires) -> None:
    requires("numpy>=1.26", "pillow>=999", "no-such-package>=2")
    check = Check("packages", *doctor._packages())
    assert check.health is Health.BROKEN
    here = metadata.version("pillow")
    assert f"pillow>=999 (here is {here})" in check.text
    assert "pip install 'pillow>=999' 'no-such-package>=2'" in check.text
    requires("numpy>=1.26", "no-such-package; extra == 'more'")
    assert Check("packages", *doctor._packages()).health is not Health.BROKEN


def test_extras_are_described_and_list_what_they_lack(requires) -> None:
    requires("numpy>=1.26", "polars>=1; extra == 'frames'", "nowhere>=3; extra == 'serve'")
    missing = {extra.name: extra.missing for extra in doctor.extras()}
    assert missing == {"serve": ("nowhere>=3",), "frames": ()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(doctor.EXTRAS) == set(project["optional-dependencies"]) - {"dev"}


def test_the_command_prints_each_check(monkeypatch) -> None:
    checks = [Check("packages", Health.OK, "all"), Check("model [x]", Health.WARNING, "none")]
    monkeypatch.setattr(doctor, "examine", lambda: iter(checks))
    result = invoke("doctor")
    assert result.exit_code == 0, result.stdout
    for line in ("ok +packages: all$", r"warning +model \[x\]: none$", "(extra|not here) +data: "):
        assert re.search(f"^{line}", result.stdout, re.M)


def test_the_command_as_json(monkeypatch) -> None:
    broken = Check("model default", Health.BROKEN, "changed", {"sha256": "12"})
    monkeypatch.setattr(doctor, "examine", lambda: iter([broken]))
    result = invoke("doctor", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 1 and told["ok"] is False
    assert told["checks"] == [
        {"name": "model default", "health": "broken", "text": "changed", "facts": {"sha256": "12"}}
    ]
    assert {"python", "agelens", "numpy"} <= set(told["versions"])
    assert all({"name", "gives", "installed", "missing"} <= set(one) for one in told["extras"])
