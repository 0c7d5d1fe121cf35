"""CONTRIBUTING.md tells the truth: its diagram, its table, its checks, and how to add a part."""

import io
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Self

import numpy as np
import pytest
import torch
import typer
import yaml
from numpy.typing import NDArray
from torch import Tensor, nn
from typer.testing import CliRunner

import agelens
from agelens.cli import options
from agelens.cli.app import add_commands
from agelens.cli.options import Commands
from agelens.data.importer import import_dataset
from agelens.data.labels import Label
from agelens.data.readers import registry
from agelens.data.readers.reader import YOUR_TERMS, Labelled, Survey
from agelens.faces.pipeline import DETECTORS
from agelens.output.tables import WRITERS, Fields, Row, Writer
from agelens.results import Box, Face, Gender, Landmarks
from agelens.training.networks import backbones
from agelens.training.networks.layers import Backbone
from agelens.training.networks.network import Network
from agelens.training.recipes import config
from labelled import drawn, write_folder

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")


def contract_layers() -> list[set[str]]:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (layers,) = (c["layers"] for c in linter["contracts"] if c["name"] == "layers of the package")
    names = [set(layer.replace("agelens.", "").replace("|", " ").split()) for layer in layers]
    return [layer for layer in reversed(names) if layer != {"__main__"}]


def test_the_diagram_shows_the_layers_of_the_contract() -> None:
    (diagram,) = re.findall(r"```mermaid\n(.*?)```", GUIDE, re.S)
    bodies = re.findall(r"subgraph layer\d+ \[\d+\]\n(.*?)end", diagram, re.S)
    drawn = [set(body.split()) for body in bodies]
    assert [layer - {"__main__"} for layer in contract_layers()] == drawn
    assert " --> ".join(f"layer{number + 1}" for number in range(len(drawn))) in diagram


def test_the_top_of_the_package_has_at_most_eight_files_and_21_rooms_on_nine_layers() -> None:
    package = ROOT / "src" / "agelens"
    files = {path.stem for path in package.glob("*.py")}
    packages = {init.parent.name for init in package.glob("*/__init__.py")}
    assert len(files) <= 8 and len(files) + len(packages) <= 21 and len(contract_layers()) <= 9
    placed = set().union(*contract_layers()) | {"__init__", "__main__"}
    assert files | packages == placed


def test_the_table_of_places_names_what_is_there() -> None:
    (table,) = re.findall(r"\| you change \| look in \|\n\|---\|---\|\n(.*?)\n\n", GUIDE, re.S)
    rows = " ".join(row.split("|")[2] for row in table.splitlines())
    named = re.findall(r"`([^`]+)`", rows)
    assert len(named) > 15
    for place in named:
        assert list((ROOT / "src" / "agelens").glob(place.rstrip("/"))), place


def test_pre_commit_runs_the_checks_of_make() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    entries = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (recipe,) = re.findall(r"^check:.*\n((?:\t.*\n)+)", makefile, re.M)
    checks = [re.sub(r" \.$", "", line.strip()) for line in recipe.splitlines()]
    assert [check.replace("$(BIN)", ".venv/bin") for check in checks] == entries


def test_every_package_says_what_is_in_it_and_what_it_may_import() -> None:
    for init in (ROOT / "src" / "agelens").glob("*/**/__init__.py"):
        text = init.read_text("utf-8").split('"""')[1].strip()
        assert len(text.splitlines()) >= 2, init


# "How to add ...": each part once, as the guide describes it, with a dummy.


class WholePicture:
    def __init__(self, longest: int) -> None:
        self.longest = longest

    def detect(self, picture: NDArray[np.uint8]) -> list[Face]:
        height, width = picture.shape[:2]
        template = np.array([(59, 57.7), (138.2, 59.6), (96.5, 104.3), (62.8, 136.5), (131, 137.6)])
        landmarks = Landmarks.from_array(template * (width / 200, height / 200))
        return [Face(Box(0, 0, width, height), landmarks, 1.0)]


def test_a_detector_is_a_class_and_a_line(tiny_model, drawn_chip, monkeypatch) -> None:
    monkeypatch.setitem(DETECTORS, "whole-picture", WholePicture)
    predictor = agelens.load(tiny_model, detector="whole-picture")
    (person,) = predictor.predict(drawn_chip(150))
    (as_chip,) = predictor.predict(drawn_chip(150), chips=True)
    assert person.box == Box(0, 0, 200, 200)
    assert person.age == pytest.approx(as_chip.age, abs=0.5)
    with pytest.raises(agelens.errors.ConfigError, match="expected one of yunet, whole-picture"):
        agelens.load(tiny_model, detector="no-such")


class Stripes(Backbone):
    num_features = 4

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([nn.Conv2d(3, 4, 8, stride=8)])

    def forward(self, pixels: Tensor) -> Tensor:
        return self.stages[0](pixels / 255)


def test_a_backbone_is_a_class_and_two_lines(monkeypatch) -> None:
    monkeypatch.setitem(backbones.BACKBONES, "stripes", lambda config: Stripes())
    monkeypatch.setattr(config, "BACKBONES", [*config.BACKBONES, "stripes"])
    network = Network(config.ModelConfig(backbone="stripes", size=32, frozen=1))
    ages, female = network(torch.zeros(2, 200, 200, 3, dtype=torch.uint8))
    assert (ages.shape, female.shape) == ((2, 117), (2,))
    with pytest.raises(ValueError, match=r"expected one of .*stripes, hybrid"):
        config.ModelConfig(backbone="no-such")


class Ages(Writer):
    def _write(self, name: str, rows: list[Row], error: str | None, about: Fields) -> None:
        self.stream.writelines(f"{row.prediction.age:.0f}\n" for row in rows)


def test_an_output_format_is_a_writer_and_a_line(monkeypatch, tiny_model, drawn_chip) -> None:
    monkeypatch.setitem(WRITERS, "ages", Ages)
    stream = io.StringIO()
    writer = options.writer_of("ages")(stream)
    people = agelens.load(tiny_model).predict(drawn_chip(150), chips=True)
    writer.add("a.jpg", people)
    assert stream.getvalue() == f"{people[0].age:.0f}\n"


class AgeFolders:
    expected = "folders named by age"
    description = "folders named by age"
    terms = YOUR_TERMS

    def __init__(self, survey: Survey) -> None:
        self.source = survey.source
        self.total = len(survey.names)

    @classmethod
    def recognise(cls, survey: Survey) -> Self | None:
        fits = all(re.fullmatch(r"(.*/)?\d+/[^/]+\.jpg", name) for name in survey.names)
        return cls(survey) if fits else None

    def pictures(self, limits: object) -> Iterator[Labelled]:
        for number, member in enumerate(self.source.members(limits)):
            label = Label(int(Path(member.name).parent.name), Gender.FEMALE, None)
            yield Labelled(member.name, f"{number}.jpg", member.content, label)


def test_a_reader_is_a_class_and_a_line(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(registry, "READERS", [*registry.READERS, AgeFolders])
    source = write_folder(tmp_path / "in", {f"{age}/face.jpg": drawn(age) for age in (7, 30)})
    summary = import_dataset(source, tmp_path / "out")
    assert sorted(summary.dataset.samples["age"]) == [7, 30]


def test_a_command_is_a_function_and_a_word_in_its_group(monkeypatch) -> None:
    module = ModuleType("agelens.cli.say_hello")
    module.say_hello = lambda: typer.echo("hello")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    app = Commands()
    app.callback()(lambda: None)
    add_commands(app, {"Use a model": {"say-hello": "say_hello"}})
    assert CliRunner().invoke(app, ["say-hello", "--quiet"]).stdout == "hello\n"
