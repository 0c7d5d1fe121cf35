"""The peers: agelens with some models, and the packages of catalogue.toml."""

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import HERE

import agelens
from agelens.errors import ConfigError
from agelens.evaluation.evaluate import model_name
from agelens.inference.runtime import Model

FACTS = ("trained_on", "utkface", "sources", "licence")
PINS = ("package.json", "requirements.txt", "requirements-no-deps.txt")


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that predicts age and gender."""

    name: str
    package: str
    program: list[str]  # agelens, python or node, then the script and its words
    detector: str | None  # peers of one detector get the same border; None: no detector
    facts: dict[str, Any]  # what the catalogue says of it, or a model's digest
    pins: str  # a digest of what fixes its answers beside the program's words
    ours: bool = False


def peers(models: list[str], only: list[str] | None) -> list[Peer]:
    """Return ours, each with its own detection and on the chip as it is, and the others.

    `only` names others. Raises ConfigError for a name that the catalogue does not have.
    """
    return [peer for model in models for peer in ours(model)] + others(only)


def ours(name: str) -> list[Peer]:
    """Return agelens with a model, by name or path, finding the face and on the aligned chip."""
    model = Model(name)
    facts = {"model_sha256": _digest([model.path])}
    sources = sorted(Path(agelens.__file__).parent.rglob("*.py"))
    pins = _digest([model.path, *sources])
    program, title = ["agelens", "agelens_peer.py", str(model.path)], f"agelens {model_name(model)}"
    whole = f"{title}, aligned chip"
    return [
        Peer(title, "agelens", program, "agelens", facts, pins, ours=True),
        Peer(whole, "agelens", [*program, "--chips"], None, facts, pins, ours=True),
    ]


def others(only: list[str] | None) -> list[Peer]:
    """Return the peers of the catalogue, or those that are named."""
    entries = read()["peer"]
    known = [entry["name"] for entry in entries]
    if unknown := sorted(set(only or ()) - set(known)):
        raise ConfigError(f"no peer {', '.join(unknown)}: expected {', '.join(known)}")
    pins = _digest([HERE / name for name in PINS])
    return [
        Peer(
            entry["name"], entry["package"], entry["program"], entry.get("detector"),
            {key: entry[key] for key in FACTS}, pins,
        )
        for entry in entries
        if only is None or entry["name"] in only
    ]  # fmt: skip


def read() -> dict[str, list[dict[str, Any]]]:
    """Read catalogue.toml: `peer`, and `left_out`."""
    return tomllib.loads((HERE / "catalogue.toml").read_text("utf-8"))


def _digest(files: list[Path]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
