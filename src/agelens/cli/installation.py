"""`agelens models` and `agelens doctor`: the shipped models, and checks of the installation."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from agelens.cli import console

TIMED = 9  # faces, one by one
COLOURS = {"ok": "green", "warning": "yellow", "broken": "bold red"}


def models(
    files: Annotated[
        list[Path] | None, Argument(help="Run folders or ONNX files to list as well.")
    ] = None,
) -> None:
    """List the shipped models with their size, accuracy and speed.

    Use a model with `--model NAME`. The time per face is measured now, on one thread.

    [bold]Examples[/]

      agelens models
      agelens models runs/scratch runs/finetune
    """
    import numpy as np

    from agelens.inference.runtime import CHIP, Model, shipped
    from agelens.provenance import median_milliseconds

    face = np.random.default_rng(0).integers(0, 256, (1, CHIP, CHIP, 3), np.uint8)
    rows = []
    for name in [*shipped(), *map(str, files or [])]:
        model = Model(name, threads=1)
        card = model.card
        validation = card.get("validation", {})
        figures = {
            "on": "test folds" if card.get("test") else "validation folds",
            "megabytes": model.path.stat().st_size / 1e6,
            "milliseconds": median_milliseconds(partial(model.run, face), TIMED),
            "age_mae": validation.get("validation_mae"),
            "age_within_5": validation.get("validation_cs5"),
            "gender_accuracy": validation.get("validation_gender_accuracy"),
            **card.get("test", {}),
        }
        what = f"{card.get('name', '?')} ({card.get('backbone') or card.get('how', '?')})"
        rows.append((name, what, figures))
    columns = {
        "MB": ("megabytes", ".1f"), "ms a face": ("milliseconds", ".1f"),
        "age MAE": ("age_mae", ".2f"), "CS@5": ("age_within_5", ".1%"),
        "gender": ("gender_accuracy", ".1%"), "on": ("on", ""),
    }  # fmt: skip
    console.table(["name", "what"], rows, columns)
    console.note("weights: non-commercial research only")


def doctor(
    as_json: Annotated[
        bool, Option("--json", help="Print one JSON object, for programs and bug reports.")
    ] = False,
) -> None:
    """Check the installation: packages, models, face detector, a self-test and its speed.

    Compares the SHA-256 of every model file, and the prediction for a bundled picture, with
    recorded values. Lists the extras and what each one adds. Exit code 1 means that something is
    broken. Nothing is sent over the network.

    [bold]Examples[/]

      agelens doctor
      agelens doctor --json > doctor.json
    """
    from rich.markup import escape

    from agelens import __version__, provenance
    from agelens import doctor as installation

    machine = provenance.machine()
    versions = {**provenance.versions(), "agelens": __version__}
    if not as_json:
        console.result(
            f"agelens {__version__}, Python {versions['python']}, {machine['system']}, "
            f"{machine['processor']}, {machine['cores']} cores"
        )
    checks = []
    with console.stages() as progress:
        progress("checking", 0, None)
        for check in installation.examine():
            checks.append(check)
            if not as_json:
                health = f"[{COLOURS[check.health]}]{check.health:8}[/]"
                line = f"{health} {escape(check.name)}: {escape(check.text)}"
                console.out.print(line, soft_wrap=True, highlight=False)
    extras = installation.extras()
    healthy = all(check.health is not installation.Health.BROKEN for check in checks)
    if as_json:
        result = {
            "ok": healthy, "versions": versions, "machine": machine,
            "checks": [asdict(check) for check in checks],
            "extras": [{**asdict(extra), "installed": not extra.missing} for extra in extras],
        }  # fmt: skip
        console.out.print_json(json.dumps(result), indent=2, highlight=False)
    else:
        for extra in extras:
            lacks = ", ".join(extra.missing)
            advice = f" (lacks {lacks}: pip install 'agelens[{extra.name}]')" if lacks else ""
            state = "not here" if lacks else "extra   "
            console.result(f"{state} {extra.name}: {extra.gives}{advice}")
    if not healthy:
        console.fail("something is broken: see above")
        raise typer.Exit(1)
