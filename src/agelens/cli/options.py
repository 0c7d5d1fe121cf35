"""Options that several commands share, each with one wording, and groups of them."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, is_dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from agelens.cli import console
from agelens.errors import MissingExtra

if TYPE_CHECKING:
    from agelens.output.tables import Writer
    from agelens.predictor import Predictor

Function = TypeVar("Function", bound=Callable[..., Any])

# data, runs and what is written
_DATASET = "A dataset folder, made by `agelens data import`."
Dataset = Annotated[Path, typer.Argument(help=_DATASET)]
Data = Annotated[Path, typer.Option(help=_DATASET)]
TrainingData = Annotated[Path, typer.Option(help="The dataset folder of the training.")]
Run = Annotated[Path, typer.Option("--run", help="The run folder to write.")]
Runs = Annotated[list[Path], typer.Argument(help="Run folders, two or more.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="The folder to write to.")]
Format = Annotated[
    str, typer.Option("--format", "-f", help="Output format: table, json, jsonl or csv.")
]
OutputFile = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write to this file, not standard output.")
]

# recipes and clusters
Recipe = Annotated[
    str | None, typer.Argument(help="A recipe: a name of `agelens recipes` or a TOML file.")
]
Config = Annotated[
    str | None, typer.Option("--config", help="Deprecated: give the recipe as RECIPE.", hidden=True)
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a value of the recipe: section.key=value (repeatable)."),
]
RayAddress = Annotated[
    str | None, typer.Option(help="HOST:PORT of a Ray cluster, or auto (default: start Ray here).")
]

# models and predictions
Model = Annotated[
    str | None,
    typer.Option("--model", "-m", help="A shipped model's name, a run folder, or a file."),
]
Threads = Annotated[int | None, typer.Option(min=1, help="Processor threads (default: all).")]
Flip = Annotated[
    bool | None,
    typer.Option(help="Average each face with its mirror image (default: set by the model)."),
]
Longest = Annotated[
    int,
    typer.Option(
        min=320, max=8000, help="Long side in pixels for face detection; raise it for crowds."
    ),
]
GenderThreshold = Annotated[
    float, typer.Option(min=0.5, max=1.0, help="Give a gender only at or above this probability.")
]
MinFace = Annotated[float, typer.Option(min=0, help="Ignore faces smaller than this many pixels.")]
MaxFaces = Annotated[
    int | None, typer.Option(min=1, help="Predict only the N largest faces of each picture.")
]
Chips = Annotated[
    bool, typer.Option("--chips", help="Inputs are aligned square face chips, as in UTKFace.")
]
PerFrame = Annotated[
    bool, typer.Option("--per-frame", help="Also write the prediction of each frame of a clip.")
]
MinViews = Annotated[
    int, typer.Option(min=1, help="Leave out people who appear in fewer frames of a clip.")
]


def _two_or_none(faces: int) -> int:
    if faces == 1:
        raise typer.BadParameter("1: expected 0, or 2 or more")
    return faces


SaliencyFaces = Annotated[
    int,
    typer.Option(
        min=0, callback=_two_or_none, help="Number of faces for saliency maps; 0 for none."
    ),
]


@dataclass(frozen=True)
class ModelOptions:
    """The model and how it predicts, for every command that predicts pictures."""

    model: Model = None
    flip: Flip = None
    longest: Longest = 1280
    gender_threshold: GenderThreshold = 0.5
    min_face: MinFace = 0


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

    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", "-q",
            envvar="AGELENS_QUIET", rich_help_panel="Messages",
            help="Print only warnings and errors on standard error, no progress and no notes.",
        ),
    ] = False  # fmt: skip
    json_logs: Annotated[
        bool,
        typer.Option(
            "--json-logs",
            envvar="AGELENS_JSON_LOGS", rich_help_panel="Messages",
            help="Print messages on standard error as JSON, one object per line.",
        ),
    ] = False  # fmt: skip


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


def writer_of(form: str) -> "type[Writer]":
    """Return the writer that --format names. Raises BadParameter for an unknown format."""
    from agelens.output.tables import WRITERS

    if form not in WRITERS:
        raise typer.BadParameter(
            f"{form!r}: expected one of {', '.join(WRITERS)}", param_hint="--format"
        )
    return WRITERS[form]


def need(extra: str, *packages: str) -> None:
    """Raise MissingExtra for the first of the packages that is not installed."""
    for package in packages:
        if find_spec(package) is None:
            raise MissingExtra(package, extra)


def need_train() -> None:
    """Raise MissingExtra if a package of the extra `train` is not installed."""
    need("train", "torch", "pydantic", "polars", "safetensors", "onnx", "onnxscript")
