"""The checked configuration of a training run.

Each section is a class, whose fields, with types and ranges, are all the keys a recipe may hold.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from agelens.errors import ConfigError
from agelens.training.recipes import library

Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=10)]

BACKBONES = ["scratch", "dlib", "faceres-deep"]  # built by `training.networks.backbones`


def _known_backbone(name: str) -> str:
    if name not in (*BACKBONES, "hybrid") and not re.fullmatch(r"timm/[\w.\-]+", name):
        raise ValueError(f"expected one of {', '.join(BACKBONES)}, hybrid, or timm/NAME")
    return name


BackboneName = Annotated[str, AfterValidator(_known_backbone)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class MemberConfig(_Section):
    """One backbone of a hybrid, which is not a hybrid itself."""

    backbone: BackboneName
    weights: str | None = None  # what to start from: a safetensors file, "recipe:NAME" for what
    # that recipe trains, or for timm "hub"
    pretrained_share: Share = 0.0  # of the pre-trained weights in the mean of both (WiSE-FT, 2022)
    size: Annotated[int, Field(ge=32, le=512)] = 100  # pixels, side of the input
    padding: Annotated[float, Field(ge=0, le=0.5)] = 0.0  # share of the picture's side put around
    # it in black, on every side
    widths: list[Annotated[int, Field(ge=8, le=1024)]] = [40, 80, 160, 256]  # scratch only
    depths: list[Annotated[int, Field(ge=1, le=12)]] = [2, 2, 2, 2]  # scratch only


class ModelConfig(MemberConfig):
    """The network: backbone -> features -> two heads."""

    backbone: BackboneName = "scratch"
    members: list[MemberConfig] = []  # hybrid only: the backbones that it joins
    join: Literal["gated", "beside"] = "gated"  # hybrid only: how their features stand together
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0  # stochastic depth, scratch only
    frozen: Annotated[int, Field(ge=0)] = 0  # leading stages (members of a hybrid) that stay
    pool: Literal["mean", "gem", "attention", "regions"] = "mean"  # last feature map -> features
    standardise: bool = False  # features of mean 0 and spread 1, for frozen backbones
    feature_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0  # on the features
    hidden: Annotated[int, Field(ge=0, le=4096)] = 0  # units between features and heads; 0: none
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2  # before the heads

    @model_validator(mode="after")
    def _stages_agree(self) -> "ModelConfig":
        if len(self.widths) != len(self.depths):
            raise ValueError(
                f"widths has {len(self.widths)} stages and depths {len(self.depths)}: "
                "expected one depth for each width"
            )
        if self.join != "gated" and self.backbone != "hybrid":
            raise ValueError("join belongs to the backbone hybrid")
        if any(member.backbone == "hybrid" for member in self.members):
            raise ValueError("a member of a hybrid cannot be a hybrid")
        if (self.backbone == "hybrid") != bool(self.members):
            raise ValueError("members belong to the backbone hybrid, which needs at least one")
        return self


class DataConfig(_Section):
    """Which faces the run may see."""

    split: Annotated[int, Field(ge=0, le=4)] = 0  # of the five rotations over the folds
    share: Annotated[float, Field(gt=0, le=1)] = 1.0  # of the training faces, for short trials
    teacher: str | None = None  # whose answers to learn from: "out-of-fold:BACKBONE,..." for heads
    # on frozen backbones, made when missing, or a predictions.parquet of the training faces
    exclude: str | None = None  # an actions.csv of `agelens data audit`: leave out what it says to
    downweight: str | None = None  # an actions.csv: count each training face by its weight


class AugmentConfig(_Section):
    """What happens to a training chip before the network sees it."""

    flip: Share = 0.5  # probability of a mirror image
    rotate: Annotated[float, Field(ge=0, le=180)] = 15.0  # degrees, to either side
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.12  # share, larger or smaller
    shift: Annotated[float, Field(ge=0, lt=1)] = 0.08  # share of the side, in x and y
    brightness: Share = 0.25
    contrast: Share = 0.25
    saturation: Share = 0.3
    grey: Share = 0.05  # probability of a grey picture
    erase: Share = 0.25  # probability of a grey rectangle over the face
    degrade: Share = 0.15  # probability of blur, low resolution, JPEG or noise
    grain: Share = 0.0  # probability of film grain or the texture of a scanned print
    fade: Share = 0.0  # probability of an old photo's colours: grey, sepia, a cast, low contrast
    views: Annotated[int, Field(ge=0, le=16)] = 0  # with a frozen backbone: changed copies of each
    # chip, whose features are computed once
    mixup: Annotated[float, Field(ge=0, le=10)] = 0.0  # alpha: two faces over each other; 0: never

    @property
    def mirrors_alone(self) -> bool:
        """Whether nothing but mirroring happens to a chip."""
        return not any(value for key, value in self if key not in ("flip", "views"))


class LossConfig(_Section):
    """What the network is trained to lower."""

    sigma: Annotated[float, Field(ge=0, le=20)] = 2.0  # years, width of the label distribution
    distribution: Weight = 1.0  # weight of the cross-entropy to the label distribution
    expectation: Weight = 0.25  # weight of the error of the expected age, years
    crps: Weight = 0.0  # weight of the continuous ranked probability score, years
    ordinal: Weight = 0.0  # weight of the cross-entropy of "older than k", summed over all k
    variance: Weight = 0.0  # weight of the variance of the distribution, years squared
    trim: Annotated[float, Field(ge=0, lt=0.5)] = 0.0  # share of a batch with the largest losses
    # that is left out, for labels that may be wrong
    teacher: Share = 0.0  # how far the targets are the teacher's answers (data.teacher)
    gender: Weight = 1.0  # weight of the gender cross-entropy
    gender_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.02


class OptimizerConfig(_Section):
    """AdamW (Loshchilov and Hutter, 2019)."""

    rate: Annotated[float, Field(gt=0, le=1)] = 2e-3  # learning rate of the heads
    backbone_rate: Annotated[float, Field(ge=0, le=10)] = 1.0  # times `rate`
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0  # rate of a stage over that of the next
    pull: Annotated[float, Field(ge=0, le=1000)] = 0.0  # of the backbone towards its start
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.05
    batch: Annotated[int, Field(ge=2, le=4096)] = 64
    clip: Annotated[float, Field(gt=0)] = 5.0  # largest norm of the gradient


class ScheduleConfig(_Section):
    """How long, and how the learning rate moves: warm-up, then a cosine to zero."""

    epochs: Annotated[int, Field(ge=1, le=10000)] = 20
    warmup: Annotated[float, Field(ge=0)] = 1.0  # epochs
    patience: Annotated[int, Field(ge=1)] = 8  # epochs without a better validation MAE
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.998  # decay per step of the weight average


class RunConfig(_Section):
    """How the machine is used."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    threads: Annotated[int, Field(ge=0)] = 0  # 0: all cores
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto takes a GPU where torch sees one
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto measures both


class SecondOpinionConfig(_Section):
    """How far an ensemble listens to the age and gender networks of dlib-models."""

    age: Share = 0.0  # weight of their age distribution
    gender: Share = 0.0  # weight of their gender logit


class Config(_Section):
    """A whole recipe; `{split}` in its names of files stands for the run's split: see `filled`."""

    name: str = Field(default="model", pattern=r"^[a-z0-9][a-z0-9_\-]*$")
    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    run: RunConfig = RunConfig()
    combine: list[str] = []  # recipes whose models form an ensemble; nothing else is trained
    second_opinion: SecondOpinionConfig = SecondOpinionConfig()  # with `combine` only
    quantize: bool = False  # write the model's 8-bit variant too
    stages: "dict[str, Config]" = {}  # the recipes that this one needs, by name

    @classmethod
    def read(cls, source: str | Path, overrides: dict[str, Any] | None = None) -> "Config":
        """Read a recipe, shipped (by name) or a file, with all that it extends and needs.

        `overrides` maps "section.key", or "stages.NAME.section.key", to a value that replaces the
        recipe's. A change to [run] holds for the stages too, and so does every change to a recipe
        that only combines. Raises ConfigError, which names the key, the value and what was
        expected.
        """
        path = library.find(source)
        table = library.extended(path)
        changes = dict(overrides or {})
        of_stages = {key: changes.pop(key) for key in list(changes) if key.startswith("stages.")}
        _replace(table, changes)
        library.gather(table, path)
        stages, shared = table.get("stages", {}), "" if table.get("combine") else "run."
        for stage in stages.values():
            _replace(stage, {key: value for key, value in changes.items()
                             if "." in key and key.startswith(shared)})  # fmt: skip
        for key, value in of_stages.items():
            _, name, own_key = [*key.split(".", 2), ""][:3]
            if name not in stages:
                known = ", ".join(stages) or "none, as this recipe has no stages"
                raise ConfigError(f"--set {key}: unknown stage; expected one of {known}")
            _replace(stages[name], {own_key: value})
        return cls.check(table, str(source))

    def changed(self, values: dict[str, Any], source: str) -> "Config":
        """Return the recipe with the values of some "section.key" replaced.

        Raises ConfigError for a key that it does not know or a value out of range.
        """
        table = self.table()
        _replace(table, values)
        return self.check(table, source)

    @classmethod
    def check(cls, table: dict[str, Any], source: str) -> "Config":
        """Check a recipe that is already a table; `source` names it in errors."""
        try:
            return cls.model_validate(table)
        except ValidationError as error:
            raise ConfigError(_explain(error, source)) from error

    def filled(self) -> "Config":
        """Return the recipe with the split in place of `{split}` in the names of files."""
        text = json.dumps(self.table()).replace("{split}", str(self.data.split))
        return self.check(json.loads(text), self.name)

    def table(self) -> dict[str, Any]:
        """Return the recipe as a table that TOML and JSON can hold, without None and the empty."""
        table = self.model_dump(exclude_none=True, exclude={"stages"})
        table["stages"] = {name: stage.table() for name, stage in self.stages.items()}
        return {key: value for key, value in table.items() if value}

    def stage(self, name: str) -> "Config":
        """Return a recipe that this one needs; the faces it may see are those of this recipe.

        Raises ConfigError for one that is not among the stages.
        """
        if name not in self.stages:
            raise ConfigError(
                f"{self.name} needs {name!r}, which is not among its stages: expected one of "
                f"{', '.join(self.stages) or 'none'}"
            )
        stage = self.stages[name]
        data = self.data.model_copy(update={"teacher": stage.data.teacher})
        return stage.model_copy(update={"data": data, "stages": self.stages})


def _replace(table: dict[str, Any], values: dict[str, Any]) -> None:
    for key, value in values.items():
        *sections, last = key.split(".")
        place = table
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--set {key}: {section!r} is a value, not a section")
        place[last] = value


def _explain(error: ValidationError, source: str) -> str:
    lines = []
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"]) or "recipe"
        if fault["type"] == "extra_forbidden":
            *section, _ = fault["loc"][2:] if fault["loc"][0] == "stages" else fault["loc"]
            where = f"[{section[0]}]" if section else "the recipe"
            kind: Any = Config.model_fields[str(section[0])].annotation if section else Config
            lines.append(f"unknown key {key!r}; {where} knows {', '.join(kind.model_fields)}")
        else:
            given = "" if isinstance(fault["input"], dict) else f" = {fault['input']!r}"
            lines.append(f"{key}{given}: {fault['msg'][0].lower()}{fault['msg'][1:]}")
    return f"{source}: " + "; ".join(lines)
