"""Augmentation: random changes to a training chip that keep its age and gender."""

from math import cos, radians, sin
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from agelens.training.recipes.config import AugmentConfig

Chip = NDArray[np.uint8]
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601

SEPIA = np.array([0.18, 0.0, -0.3], np.float32)  # what full sepia adds to 1 in red, green and blue


class Augment:
    """Rotate, scale, shift, mirror, recolour, degrade and erase parts of one chip at random."""

    def __init__(self, config: AugmentConfig) -> None:
        self._config = config
        self.flip = config.flip

    def __call__(self, chip: Chip, size: int, random: Generator) -> Chip:
        """Turn uint8 (H, H, 3) RGB into uint8 (size, size, 3)."""
        config, matrix = self._config, self._geometry(chip.shape[0], size, random)
        edge = cv2.BORDER_REPLICATE
        chip = cv2.warpAffine(chip, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=edge)  # type: ignore[assignment]
        if random.random() < config.degrade:
            chip = DEGRADATIONS[random.integers(len(DEGRADATIONS))](chip, random)
        chip = cv2.transform(chip, self._colour_matrix(random))  # type: ignore[assignment]
        if config.fade and random.random() < config.fade:
            chip = _fade(chip, random)
        if config.grain and random.random() < config.grain:
            chip = _grain(chip, random)
        if random.random() < config.erase:
            _erase(chip, random)
        return chip

    def _geometry(self, side: int, size: int, random: Generator) -> NDArray[np.float64]:
        config = self._config
        angle = radians(random.uniform(-config.rotate, config.rotate))
        zoom = size / side * np.exp(random.uniform(-1, 1) * np.log1p(config.scale))
        mirror = -1.0 if random.random() < config.flip else 1.0
        linear = zoom * np.array(
            [[cos(angle) * mirror, -sin(angle)], [sin(angle) * mirror, cos(angle)]]
        )
        shift = random.uniform(-config.shift, config.shift, 2) * size
        centre = np.full(2, (side - 1) / 2)
        offset = np.full(2, (size - 1) / 2) + shift - linear @ centre
        return np.hstack([linear, offset[:, None]])

    def _colour_matrix(self, random: Generator) -> NDArray[np.float32]:
        config = self._config
        grey = random.random() < config.grey
        saturation = 0.0 if grey else 1 + random.uniform(-config.saturation, config.saturation)
        contrast = 1 + random.uniform(-config.contrast, config.contrast)
        brightness = 255 * random.uniform(-config.brightness, config.brightness) / 2
        mix = saturation * np.eye(3, dtype=np.float32) + (1 - saturation) * GREY
        offset = np.full((3, 1), 128 * (1 - contrast) + brightness, np.float32)
        return np.hstack([contrast * mix, offset]).astype(np.float32)


def _erase(chip: Chip, random: Generator) -> None:
    """Fill one rectangle of 2 to 15 % of the chip (random erasing; Zhong et al., 2020)."""
    side = chip.shape[0]
    area, shape = random.uniform(0.02, 0.15), np.exp(random.uniform(-1, 1))
    wide = min(int(side * np.sqrt(area * shape)), side)
    high = min(int(side * np.sqrt(area / shape)), side)
    left, top = random.integers(side - wide + 1), random.integers(side - high + 1)
    chip[top : top + high, left : left + wide] = random.integers(0, 256, 3)


def _low_resolution(chip: Chip, random: Generator) -> Chip:
    side = chip.shape[0]
    small = int(side * random.uniform(0.2, 0.6))
    tiny = cv2.resize(chip, (small, small), interpolation=cv2.INTER_AREA)
    return cv2.resize(tiny, (side, side), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def _defocus_blur(chip: Chip, random: Generator) -> Chip:
    sigma = chip.shape[0] * random.uniform(0.005, 0.025)
    return cv2.GaussianBlur(chip, (0, 0), sigma)  # type: ignore[return-value]


def _motion_blur(chip: Chip, random: Generator) -> Chip:
    length = max(3, int(chip.shape[0] * random.uniform(0.03, 0.1)) | 1)
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    turn = cv2.getRotationMatrix2D((length // 2, length // 2), random.uniform(0, 180), 1)
    kernel = cv2.warpAffine(kernel, turn, (length, length))  # type: ignore[assignment]
    return cv2.filter2D(chip, -1, kernel / max(float(kernel.sum()), 1e-6))  # type: ignore[return-value]


def _jpeg(chip: Chip, random: Generator) -> Chip:
    quality = int(random.integers(8, 50))
    _, coded = cv2.imencode(".jpg", chip, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)  # type: ignore[return-value]


def _dark_and_noisy(chip: Chip, random: Generator) -> Chip:
    gain = random.uniform(0.3, 1.0)
    noise = random.standard_normal(chip.shape, np.float32) * random.uniform(4, 22)
    return np.clip(chip * np.float32(gain) + noise, 0, 255).astype(np.uint8)


def _tint(chip: Chip, random: Generator) -> Chip:
    gains = random.uniform(0.65, 1.3, 3).astype(np.float32)
    return np.clip(chip * gains, 0, 255).astype(np.uint8)  # type: ignore[no-any-return]


def _fade(chip: Chip, random: Generator) -> Chip:
    """Give a chip the colours of an old photo: grey or sepia or a cast, with faded contrast."""
    kind = random.random()
    values: NDArray[Any] = chip.astype(np.float32)
    if kind < 0.6:
        sepia = 0.0 if kind < 0.35 else random.uniform(0.3, 1)
        values = (values @ GREY)[..., None] * (1 + np.float32(sepia) * SEPIA)
    else:
        values = values * random.uniform(0.75, 1.25, 3).astype(np.float32)
    black, white = random.uniform(0, 60), random.uniform(190, 255)
    gamma = np.float32(np.exp(random.uniform(-0.35, 0.35)))
    values = black + (white - black) * np.clip(values / 255, 0, 1) ** gamma
    return np.clip(values, 0, 255).astype(np.uint8)


def _grain(chip: Chip, random: Generator) -> Chip:
    """Add noise of 3 to 14 grey levels, mostly the same in all colours and often coarse."""
    channels = 1 if random.random() < 0.7 else 3
    noise: NDArray[Any] = random.standard_normal((*chip.shape[:2], channels), np.float32)
    if random.random() < 0.6:
        noise = cv2.GaussianBlur(noise, (0, 0), random.uniform(0.4, 1.2)).reshape(noise.shape)
        noise = noise / noise.std()
    level = np.float32(random.uniform(3, 14))
    return np.clip(chip + level * noise, 0, 255).astype(np.uint8)


DEGRADATIONS = (_low_resolution, _defocus_blur, _motion_blur, _jpeg, _dark_and_noisy, _tint)
