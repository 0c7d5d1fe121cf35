"""Find recipes by name, and read them with what they extend and the stages they start from.

A recipe is called by the name of a shipped one (a TOML file beside this module) or by a path.
Inside a recipe, a file beside it comes before a shipped recipe of the same name.
"""

import copy
import difflib
import json
import re
import tomllib
import warnings
from pathlib import Path
from typing import Any

from agelens.errors import ConfigError

Table = dict[str, Any]

FOLDER = Path(__file__).parent
SPACES = FOLDER / "spaces"  # search spaces of `agelens tune`
REFERENCE = "recipe:"  # before the name of the recipe whose best checkpoint `weights` stands for
RENAMED = {
    "finetune-again": "finetune-continued", "finetune-dlib-milder": "finetune-dlib-light",
    "finetune-milder": "finetune-light", "finetune-taught": "finetune-distilled",
    "frozen-dlib-tuned-0": "frozen-dlib-tuned", "fused": "concat", "fused-both": "concat-both",
    "fused-dlib": "concat-dlib", "fused-taught": "concat-distilled",
    "scratch-milder": "scratch-distilled-112-light", "scratch-taught": "scratch-distilled",
    "scratch-taught-112": "scratch-distilled-112",
}  # fmt: skip


def names(folder: Path = FOLDER) -> list[str]:
    """Name the shipped recipes, or the shipped search spaces (`SPACES`), in alphabetical order."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def renamed(source: str | Path) -> str | None:
    """Return the present name of a recipe that is called by an old name or path, else None."""
    path = Path(source)
    if path.is_file():
        return None
    if path.parent.name == "configs" and path.suffix == ".toml":
        return RENAMED.get(path.stem, path.stem if path.stem in names() else None)
    return RENAMED.get(str(source))


def find(source: str | Path, folder: Path = FOLDER, beside: Path | None = None) -> Path:
    """Find a recipe or, with `folder=SPACES`, a search space by its name or path.

    `beside` is a folder that is looked into first. Raises ConfigError for an unknown name and for
    a file that does not exist.
    """
    kind, name, shipped = "recipe", str(source), ", ".join(names(folder))
    if folder != FOLDER:
        kind = "search space"
    elif new := renamed(source):
        warnings.warn(f"the recipe {name!r} is now called {new!r}", DeprecationWarning, 2)
        name = new
    is_path = name.endswith(".toml") or len(Path(name).parts) > 1
    for place in [beside or Path()] if is_path else [beside or folder, folder]:
        file = place / (name if is_path else f"{name}.toml")
        if file.is_file():
            return file
    if is_path:
        raise ConfigError(
            f"cannot read the {kind} {name!r}: no such file; expected the path of a TOML file or a "
            f"shipped name ({shipped})"
        )
    near = difflib.get_close_matches(name, names(folder), 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(
        f"unknown {kind} {name!r}: expected the path of a TOML file or one of {shipped}{hint}"
    )


def parse(path: Path) -> Table:
    """Read a TOML file. Raises ConfigError where it cannot be read."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from error


def extended(path: Path) -> Table:
    """Read a recipe with all that it extends; its name is the file's, unless it has one."""
    table = parse(path)
    if re.fullmatch(r"[a-z0-9][a-z0-9_\-]*", path.stem):
        table.setdefault("name", path.stem)
    return _extend(table, path, (path,))


def _extend(table: Table, path: Path, chain: tuple[Path, ...]) -> Table:
    # chain: the files on the way to the table
    if (base := table.pop("extends", None)) is None:
        return table
    if not isinstance(base, str):
        raise ConfigError(f"{path}: extends = {base!r}: expected the name or path of a recipe")
    try:
        file = find(base, beside=path.parent)
        if file == path:  # a file may have the name of the shipped recipe that it extends
            file = find(base)
    except ConfigError as error:
        raise ConfigError(f"{path}: extends = {base!r}: {error}") from error
    if file in chain:
        circle = " -> ".join(one.stem for one in (*chain, file))
        raise ConfigError(f"{path}: recipes extend each other in a circle: {circle}")
    return _merge(_extend(parse(file), file, (*chain, file)), table)


def _merge(base: Table, table: Table) -> Table:
    merged = base | table
    for key in base.keys() & table.keys():
        if isinstance(base[key], dict) and isinstance(table[key], dict):
            merged[key] = _merge(base[key], table[key])
    return merged


def references(table: Table) -> list[str]:
    """Name the recipes that must be trained before this one, in order, each once."""
    model = table.get("model", {})
    weights = [str(one.get("weights")) for one in (model, *model.get("members", []))]
    started = [one.removeprefix(REFERENCE) for one in weights if one.startswith(REFERENCE)]
    return list(dict.fromkeys([*table.get("combine", []), *started]))


def gather(table: Table, path: Path) -> None:
    """Put every recipe that this one needs, directly or not, into its table `stages`.

    A stage that is written in the recipe itself may extend another recipe too. Raises ConfigError
    for unknown recipes and for ones that start from each other.
    """
    written: dict[str, Table] = {}
    gathered: dict[str, Table] = {}

    def write_down(recipe: Table, file: Path) -> None:
        for name, stage in recipe.pop("stages", {}).items():
            written.setdefault(name, _extend(copy.deepcopy(stage), file, (file,)))

    def add(name: str, beside: Path, chain: tuple[str, ...]) -> None:
        if name in chain:
            circle = " -> ".join((*chain, name))
            raise ConfigError(f"{path}: recipes start from each other in a circle: {circle}")
        if name in gathered:
            return
        if (stage := written.get(name)) is None:
            file = find(name, beside=beside)
            stage, beside = extended(file), file.parent
            write_down(stage, file)
        for needed in references(stage):
            add(needed, beside, (*chain, name))
        gathered[name] = stage | {"name": name}

    write_down(table, path)
    for name in references(table):
        add(name, path.parent, (table.get("name", ""),))
    if gathered:
        table["stages"] = gathered


def summary(name: str) -> str:
    """Return the first sentence of the comment at the top of a shipped recipe."""
    lines = (FOLDER / f"{name}.toml").read_text("utf-8").splitlines()
    comment = " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
    return comment.partition(". ")[0].rstrip(".") + "."


def recorded() -> dict[str, Any]:
    """Return what was recorded of shipped recipes: minutes, validation figures, the machine."""
    table: dict[str, Any] = json.loads((FOLDER / "recorded.json").read_text("utf-8"))
    return table
