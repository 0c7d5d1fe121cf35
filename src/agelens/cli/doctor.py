"""`agelens doctor`: check the installation and measure its speed."""

from typing import Annotated

import typer

from agelens.cli import console

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
    import json
    from dataclasses import asdict

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
    with console.working("checking"):
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
            "ok": healthy,
            "versions": versions,
            "machine": machine,
            "checks": [asdict(check) for check in checks],
            "extras": [{**asdict(extra), "installed": not extra.missing} for extra in extras],
        }
        console.out.print_json(json.dumps(result), indent=2, highlight=False)
    else:
        for extra in extras:
            state, advice = "extra   ", ""
            if extra.missing:
                state, lacks = "not here", ", ".join(extra.missing)
                advice = f" (lacks {lacks}: pip install 'agelens[{extra.name}]')"
            console.result(f"{state} {extra.name}: {extra.gives}{advice}")
    if not healthy:
        console.fail("something is broken: see above")
        raise typer.Exit(1)
