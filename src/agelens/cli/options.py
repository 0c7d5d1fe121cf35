"""Options that several commands share, each with one wording, and groups of them."""

import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer import Argument, Option

from agelens.cli import console
from agelens.errors import require

if TYPE_CHECKING:
    from agelens.output.tables import Writer
    from agelens.predictor import Predictor

Function = TypeVar("Function", bound=Callable[..., Any])

# data, runs and what is written
_DATASET = "A dataset folder, made by `agelens data import`."
Dataset = Annotated[Path, Argument(help=_DATASET)]
Data = Annotated[Path, Option(help=_DATASET)]
TrainingData = Annotated[Path, Option(help="The dataset folder of the training.")]
Run = Annotated[Path, Option("--run", help="The run folder to write.")]
Runs = Annotated[list[Path], Argument(help="Run folders, two or more.")]
Output = Annotated[Path, Option("--output", "-o", help="The folder to write to.")]
Format = Annotated[str, Option("--format", "-f", help="Output format: table, json, jsonl or csv.")]
OutputFile = Annotated[
    Path | None, Option("--output", "-o", help="Write to this file, not standard output.")
]

# recipes and clusters
Recipe = Annotated[
    str | None, Argument(help="A recipe: a name of `agelens recipes` or a TOML file.")
]
Config = Annotated[
    str | None, Option("--config", help="Deprecated: give the recipe as RECIPE.", hidden=True)
]
Changes = Annotated[
    list[str] | None,
    Option("--set", help="Override a value of the recipe: section.key=value (repeatable)."),
]
RayAddress = Annotated[
    str | None, Option(help="HOST:PORT of a Ray cluster, or auto (default: start Ray here).")
]

# models and predictions
MODEL = "A shipped model's name, a run folder, or a file."
Threads = Annotated[int | None, Option(min=1, help="Processor threads (default: all).")]
Flip = Annotated[
    bool | None, Option(help="Average each face with its mirror image (default: set by the model).")
]
MaxFaces = Annotated[
    int | None, Option(min=1, help="Predict only the N largest faces of each picture.")
]
Chips = Annotated[
    bool, Option("--chips", help="Inputs are aligned square face chips, as in UTKFace.")
]
PerFrame = Annotated[
    bool, Option("--per-frame", help="Also write the prediction of each frame of a clip.")
]
MinViews = Annotated[
    int, Option(min=1, help="Leave out people who appear in fewer frames of a clip.")
]


def _two_or_none(faces: int) -> int:
    if faces == 1:
        raise typer.BadParameter("1: expected 0, or 2 or more")
    return faces


SaliencyFaces = Annotated[
    int, Option(min=0, callback=_two_or_none, help="Number of faces for saliency maps; 0 for none.")
]


@dataclass(frozen=True)
class ModelOptions:
    """The model and how it predicts, for every command that predicts pictures."""

    model: Annotated[str | None, Option("--model", "-m", help=MODEL)] = None
    flip: Flip = None
    longest: Annotated[int, Option(
        min=320, max=8000, help="Long side in pixels for face detection; raise it for crowds.",
    )] = 1280  # fmt: skip
    gender_threshold: Annotated[
        float, Option(min=0.5, max=1.0, help="Give a gender only at or above this probability.")
    ] = 0.5
    min_face: Annotated[
        float, Option(min=0, help="Ignore faces smaller than this many pixels.")
    ] = 0
    keep_doubtful: Annotated[
        bool, Option("--keep-doubtful", help="Keep what is probably no face, such as animals.")
    ] = False


@dataclass(frozen=True)
class PredictorOptions(ModelOptions):
    """The options of a predictor, for the commands that load one."""

    max_faces: MaxFaces = None
    threads: Threads = None

    def load(self) -> "Predictor":
        """Load the predictor. Raises as `agelens.load`."""
        from agelens.predictor import load

        settings = asdict(self)
        return load(settings.pop("model"), **settings)


@dataclass(frozen=True)
class Messages:
    """The options of every command, for its messages on standard error."""

    quiet: Annotated[bool, Option(
        "--quiet", "-q", envvar="AGELENS_QUIET", rich_help_panel="Messages",
        help="Print only warnings and errors on standard error, no progress and no notes.",
    )] = False  # fmt: skip
    json_logs: Annotated[bool, Option(
        "--json-logs", envvar="AGELENS_JSON_LOGS", rich_help_panel="Messages",
        help="Print messages on standard error as JSON, one object per line.",
    )] = False  # fmt: skip


class Commands(typer.Typer):
    """Commands that take --quiet, --json-logs, and one option per field of their dataclasses."""

    def command(self, *args: Any, **settings: Any) -> Callable[[Function], Function]:
        """Register a function as a command, and return it unchanged."""
        register = super().command(*args, **settings)

        def add(function: Function) -> Function:
            register(_with_fields(function))
            return function

        return add


def _with_fields(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function one parameter per field of its dataclasses, and those of Messages."""
    own = inspect.signature(function).parameters.values()
    groups: dict[str, Any] = {o.name: o.annotation for o in own if is_dataclass(o.annotation)}
    parameters = []
    for one in (*own, *inspect.signature(Messages).parameters.values()):
        group = groups.get(one.name)
        options = [one] if group is None else inspect.signature(group).parameters.values()
        parameters += [option.replace(kind=option.KEYWORD_ONLY) for option in options]

    @functools.wraps(function)
    def call(quiet: bool, json_logs: bool, **values: Any) -> Any:
        console.configure(quiet=quiet, json_logs=json_logs)
        for name, group in groups.items():
            values[name] = group(**{one.name: values.pop(one.name) for one in fields(group)})
        return function(**values)

    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {one.name: one.annotation for one in parameters}
    return call


def one_of(value: str, choices: Iterable[str], option: str) -> str:
    """Return the value of an option if it is one of the choices; else raise BadParameter."""
    if value not in choices:
        expected = " or ".join(choices)
        raise typer.BadParameter(f"{value!r}: expected {expected}", param_hint=option)
    return value


def writer_of(form: str) -> "type[Writer]":
    """Return the writer that --format names. Raises BadParameter for an unknown format."""
    from agelens.output.tables import WRITERS

    return WRITERS[one_of(form, WRITERS, "--format")]


def need_train(*further: str) -> None:
    """Raise MissingExtra if a package of the extra `train` is not installed."""
    require("train", "torch", "pydantic", "polars", "safetensors", "onnx", "onnxscript", *further)
