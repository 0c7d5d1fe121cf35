"""A recipe with everything it needs: plan its stages, then train, combine or quantize each once.

The recipe's own model is in the run folder, the stages before it in folders below it. Each keeps a
fingerprint of its recipe, data set and inputs in `stage.json`: so a finished stage is skipped, a
stopped one goes on, and one whose fingerprint has changed starts over.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rich.progress import Progress

from agelens import provenance
from agelens.data.dataset import Dataset
from agelens.data.storage import read_object, write_json
from agelens.errors import ConfigError, TrainingError
from agelens.training.experiments import out_of_fold
from agelens.training.experiments import run as single
from agelens.training.experiments.combination import combine_runs
from agelens.training.experiments.run import read_record
from agelens.training.export.quantization import quantize
from agelens.training.networks import backbones
from agelens.training.recipes.config import Config, MemberConfig
from agelens.training.recipes.library import REFERENCE, references

RECORD = "stage.json"
OUT_OF_FOLD = "out-of-fold:"  # before the backbones that answer out of fold as a recipe's teacher
SEEDS = 2  # heads averaged in each fold of a teacher
MADE = (  # the files that a stage which starts over removes from its run folder
    RECORD, "run.json", "model.onnx", "history.csv", "best.safetensors", "best.json",
    "last.safetensors", "last.json",
)  # fmt: skip

Kind = Literal["train", "combine", "quantize"]
Trainer = Callable[..., dict[str, Any]]  # called as `run.train` is
State = Literal["new", "stopped", "changed", "finished", "foreign"]
WORDS: dict[State, str] = {  # what is said of a stage in each state when its turn comes
    "new": "", "foreign": "", "finished": " (finished before)", "stopped": " (continues)",
    "changed": " (recipe, data set or inputs have changed: starts over)",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """One model that a recipe needs, or its own."""

    name: str
    kind: Kind
    folder: Path  # the run folder
    config: Config  # with files in place of `recipe:` and `out-of-fold:`
    inputs: tuple["Stage", ...]  # the stages whose models it starts from
    fingerprint: str
    backbones: tuple[str, ...] = ()  # the pre-trained networks it starts from
    files: tuple[str, ...] = ()  # other files that it reads
    teacher: tuple[str, ...] = ()  # backbones whose out-of-fold answers it learns from

    @property
    def state(self) -> State:
        """Tell from the run folder what has been done."""
        there = {file.name for file in self.folder.glob("*")}
        record = read_record(self.folder / RECORD)
        if not record:
            return "foreign" if there & {"run.json", "model.onnx"} else "new"
        if record["fingerprint"] != self.fingerprint:
            return "changed"
        needed = {"model.onnx", "best.safetensors"} if self.kind == "train" else {"model.onnx"}
        return "finished" if "finished" in record and needed <= there else "stopped"

    @property
    def needs(self) -> list[str]:
        """Name what the stage is made from: stages, backbones, files and its teacher."""
        teacher = [f"teacher {' and '.join(self.teacher)}"] if self.teacher else []
        return [*(stage.name for stage in self.inputs), *self.backbones, *self.files, *teacher]


def plan(recipe: Config, data: Path, folder: Path) -> list[Stage]:
    """Give the stages of a recipe in the order in which they are made, the recipe's own last.

    Raises ConfigError for a recipe that cannot be planned, DatasetError for an unusable data set.
    """
    dataset = Dataset(data)
    stages: dict[str, Stage] = {}

    def add(name: str, config: Config, place: Path) -> Stage:
        needed = references(config.table())
        for one in needed:
            if one not in stages:
                stages[one] = add(one, config.stage(one), folder / one)
        inputs = tuple(stages[one] for one in needed)
        unusable = [stage.name for stage in inputs if stage.kind != "train"]
        if unusable or len(config.combine) == 1:
            raise ConfigError(
                f"{name} is made from {', '.join(unusable or config.combine)}: expected recipes "
                "that train one network, and at least two of them for `combine`"
            )
        return _stage(name, place, config, inputs, dataset)

    own = [add(recipe.name, recipe, folder / recipe.name if recipe.quantize else folder)]
    if recipe.quantize:
        name = f"{recipe.name}-int8"
        own.append(_stage(name, folder, recipe, (own[0],), dataset, quantizes=True))
    return [*stages.values(), *own]


def _stage(
    name: str, folder: Path, recipe: Config, inputs: tuple[Stage, ...], dataset: Dataset,
    *, quantizes: bool = False,
) -> Stage:  # fmt: skip
    kind: Kind = "quantize" if quantizes else "combine" if recipe.combine else "train"
    recipe = recipe.filled().model_copy(update={"stages": {}, "quantize": quantizes})
    parts: list[MemberConfig] = [recipe.model, *recipe.model.members]
    named = [one.weights for one in parts]
    named += [recipe.data.teacher, recipe.data.exclude, recipe.data.downweight]
    files = tuple(
        file for file in named
        if file and file != "hub" and not file.startswith((REFERENCE, OUT_OF_FOLD))
    )  # fmt: skip
    uncounted: Any = {"name": True, "run": {"threads", "device"}}
    own = recipe.model_dump(mode="json", exclude_defaults=True, exclude=uncounted)
    own = {key: value for key, value in own.items() if value != {}}
    contents = [
        provenance.sha256(Path(file)) if Path(file).is_file() else "missing" for file in files
    ]
    made_of = [own, dataset.fingerprint, contents, [stage.fingerprint for stage in inputs]]
    fingerprint = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()
    stage = Stage(name, kind, folder, recipe, inputs, fingerprint)
    if kind != "train":
        return stage
    table = recipe.table()
    checkpoints = {REFERENCE + one.name: str(one.folder / "best.safetensors") for one in inputs}
    for part in (table["model"], *table["model"]["members"]):
        if "weights" in part:
            part["weights"] = checkpoints.get(part["weights"], part["weights"])
    teacher: tuple[str, ...] = ()
    if str(recipe.data.teacher).startswith(OUT_OF_FOLD):
        teacher = tuple(str(recipe.data.teacher).removeprefix(OUT_OF_FOLD).split(","))
        if unknown := set(teacher) - set(out_of_fold.BACKBONES):
            raise ConfigError(
                f"{name}: data.teacher = {recipe.data.teacher!r}: unknown backbone "
                f"{min(unknown)!r}; expected some of {', '.join(out_of_fold.BACKBONES)}, "
                "separated by commas"
            )
        file = f"out-of-fold-{'-'.join(teacher)}-split{recipe.data.split}.parquet"
        table["data"]["teacher"] = str(dataset.folder / file)
    pretrained = tuple(
        one.backbone for one in parts if one.backbone in backbones.CATALOGUE and not one.weights
    )
    config = Config.check(table, name)
    return replace(stage, config=config, backbones=pretrained, files=files, teacher=teacher)


def run(
    stages: list[Stage], data: Path, progress: Progress, *, train: Trainer = single.train,
    on_stage: Callable[[str], None] | None = None, on_epoch: single.OnEpoch | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Make every stage that is not finished; return the record of the last.

    `on_stage` is called with "stage 2 of 5: NAME" and what happens to it. Raises TrainingError,
    before anything is made, for what is missing; see `check`.
    """
    dataset = Dataset(data)
    check(stages, dataset)
    for number, stage in enumerate(stages, 1):
        state = stage.state
        if on_stage and len(stages) > 1:
            on_stage(f"stage {number} of {len(stages)}: {stage.name}{WORDS[state]}")
        if state == "finished":
            continue
        if state == "changed" and len(stages) > 1:
            for file in MADE:
                (stage.folder / file).unlink(missing_ok=True)
        stage.folder.mkdir(parents=True, exist_ok=True)
        record = {
            "stage": stage.name, "kind": stage.kind, "teacher": list(stage.teacher),
            "inputs": {one.name: str(one.folder) for one in stage.inputs},
            "data": dataset.fingerprint, "fingerprint": stage.fingerprint,
        }  # fmt: skip
        if state in ("new", "stopped") or len(stages) > 1:
            write_json(stage.folder / RECORD, record)
        _make_teacher(stage, dataset, progress)
        if stage.kind == "combine":
            runs = [one.folder for one in stage.inputs]
            combine_runs(runs, data, stage.folder, progress, stage.config.second_opinion)
        elif stage.kind == "quantize":
            quantize(stage.inputs[0].folder, data, stage.folder, progress)
        else:  # raises TrainingError where the folder holds a run of another recipe
            train(stage.config, data, stage.folder, progress, resume=True, on_epoch=on_epoch)
        write_json(stage.folder / RECORD, record | {"finished": provenance.now()})
    return read_record(stages[-1].folder / "run.json")


def prepare(recipe: Config, data: Path, folder: Path, progress: Progress) -> Config:
    """Make all that a recipe needs, in folders below `folder`; give it with files put in.

    Raises ConfigError for a recipe that trains nothing itself.
    """
    *before, last = planned = plan(recipe.model_copy(update={"quantize": False}), data, folder)
    if last.kind != "train":
        raise ConfigError(f"{recipe.name} trains nothing itself: expected a recipe that does")
    dataset = Dataset(data)
    check(planned, dataset)
    if before:
        run(before, data, progress)
    _make_teacher(last, dataset, progress)
    return last.config


def check(stages: list[Stage], dataset: Dataset) -> None:
    """Raise TrainingError for the first file, network or free run folder that stages lack."""
    for stage in stages:
        state = stage.state
        if state == "finished":
            continue
        record = read_record(stage.folder / RECORD)
        if (state == "foreign" and len(stages) > 1) or (
            state == "changed" and len(stages) == 1 and record["data"] != dataset.fingerprint
        ):
            raise TrainingError(
                f"{stage.folder} holds a run of another recipe or data set: give another --run"
            )
        for file in stage.files:
            if not Path(file).is_file():
                raise TrainingError(
                    f"{stage.name} reads {file!r}, which does not exist: expected a file, "
                    f"{REFERENCE}NAME for weights, or {OUT_OF_FOLD}BACKBONE for a teacher"
                )
        teacher = () if has_teacher(stage, dataset) else stage.teacher
        for backbone in (*stage.backbones, *teacher):
            backbones.locate(backbone)


def _make_teacher(stage: Stage, dataset: Dataset, progress: Progress) -> None:
    if not stage.teacher or has_teacher(stage, dataset):
        return
    split = stage.config.data.split
    table, about = out_of_fold.predict_out_of_fold(dataset, progress, stage.teacher, SEEDS, split)
    out_of_fold.write(table, about, Path(str(stage.config.data.teacher)))


def has_teacher(stage: Stage, dataset: Dataset) -> bool:
    """Tell whether the out-of-fold answers of a stage's teacher are there, for these faces."""
    file = Path(str(stage.config.data.teacher))
    about = read_object(file.with_suffix(".json"))
    same = {"data": dataset.fingerprint, "backbones": list(stage.teacher), "seeds": SEEDS}
    return file.is_file() and same.items() <= about.items()
