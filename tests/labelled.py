"""Drawn pictures with UTKFace names, and archives of them, for the tests of the data floor."""

import csv
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from agelens.data.dataset import SCHEMA
from agelens.evaluation import bootstrap
from agelens.inference import distribution

AGES = [31 + number % 39 for number in range(60)]
GRID = np.arange(distribution.AGES)


def drawn(seed: int, size: tuple[int, int] = (24, 24), kind: str = "JPEG") -> bytes:
    """Draw a picture of smooth noise; another seed gives other bytes."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize(size, Image.Resampling.BILINEAR).save(file, kind)
    return file.getvalue()


def faces(count: int) -> dict[str, bytes]:
    return {
        f"{seed % 117}_{seed % 2}_{seed % 5}_2020010100000{seed:04}.jpg": drawn(seed)
        for seed in range(count)
    }


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_any(path: Path, files: dict[str, bytes]) -> Path:
    """Write a folder, .tar, .tar.gz, .tgz or .zip, as the name says."""
    if not path.suffix:
        return write_folder(path, files)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def write_dataset(folder: Path, pictures: dict[str, np.ndarray], fold: int = 8) -> Path:
    (folder / "images").mkdir(parents=True)
    rows = []
    for number, (name, picture) in enumerate(pictures.items()):
        Image.fromarray(picture).save(folder / "images" / name)
        digest = hashlib.sha256((folder / "images" / name).read_bytes()).hexdigest()
        gender, race = ("male", "female")[number % 2], ("asian", "white", None)[number % 3]
        size = picture.shape[1], picture.shape[0]
        rows.append((name, AGES[number], gender, race, *size, digest, fold + number % 2))
    pl.DataFrame(rows, schema=SCHEMA, orient="row").write_parquet(folder / "samples.parquet")
    return folder


def bells(centres: np.ndarray, width: float = 4.0) -> np.ndarray:
    curve = np.exp(-((GRID - np.asarray(centres)[:, None]) ** 2) / (2 * width**2))
    return curve / curve.sum(axis=1, keepdims=True)


def stop_at(*where: object) -> Callable[..., None]:
    """Give a report of progress that interrupts at this stage, if any, and count."""

    def stop(*progress: object) -> None:
        if progress[:-1] == where:
            raise KeyboardInterrupt

    return stop


def draws(count: int, resamples: int) -> np.ndarray:
    return bootstrap.resample(np.arange(count), resamples)


def table(columns: str, lines: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns.split(","))
    writer.writerows(lines)
    return text.getvalue().encode()
