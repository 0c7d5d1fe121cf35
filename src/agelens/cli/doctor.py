"""`agelens doctor`: is this installation whole, and how fast is it here?"""

from typing import TYPE_CHECKING, Annotated

import typer

from agelens.cli import console

if TYPE_CHECKING:
    from agelens.doctor import Check, Extra

COLOURS = {"ok": "green", "warning": "yellow", "broken": "bold red"}


def doctor(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, for programs and bug reports.")
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
    from agelens import __version__, provenance
    from agelens import doctor as examination
    from agelens.cli.progress import working

    machine = provenance.machine()
    versions = {**provenance.versions(), "agelens": __version__}
    if not as_json:
        console.out.print(
            f"agelens {__version__}, Python {versions['python']}, {machine['system']}, "
            f"{machine['processor']}, {machine['cores']} cores",
            soft_wrap=True, highlight=False, markup=False,
        )  # fmt: skip
    checks = []
    with working("examining"):
        for check in examination.examine():
            checks.append(check)
            if not as_json:
                _print_check(check)
    extras = examination.extras()
    whole = all(check.health is not examination.Health.BROKEN for check in checks)
    if as_json:
        _print_json(checks, extras, {"ok": whole, "versions": versions, "machine": machine})
    else:
        _print_extras(extras)
    if not whole:
        console.fail("something is broken: see above")
        raise typer.Exit(1)


def _print_check(check: "Check") -> None:
    from rich.markup import escape

    console.out.print(
        f"[{COLOURS[check.health]}]{check.health:8}[/] {escape(check.name)}: {escape(check.text)}",
        soft_wrap=True, highlight=False,
    )  # fmt: skip


def _print_extras(extras: "list[Extra]") -> None:
    for extra in extras:
        there = "not here" if extra.missing else "extra"
        lacking = f" (lacks {', '.join(extra.missing)}: pip install 'agelens[{extra.name}]')"
        console.out.print(
            f"{there:8} {extra.name}: {extra.gives}{lacking if extra.missing else ''}",
            soft_wrap=True, highlight=False, markup=False,
        )  # fmt: skip


def _print_json(checks: "list[Check]", extras: "list[Extra]", about: dict[str, object]) -> None:
    import json
    from dataclasses import asdict

    told = {
        **about,
        "checks": [asdict(check) for check in checks],
        "extras": [{**asdict(extra), "installed": not extra.missing} for extra in extras],
    }
    console.out.print(json.dumps(told, indent=2), soft_wrap=True, highlight=False, markup=False)
