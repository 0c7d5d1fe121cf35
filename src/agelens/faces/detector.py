"""Detect faces: picture -> boxes and five landmarks, at any size and in any rotation.

YuNet (W. Wu, H. Peng, S. Yu, "YuNet: a tiny millisecond-level face detector", Machine Intelligence
Research 20, 2023) detects upright faces. It responds to rotated faces too, with a low score and
with landmarks that lean towards upright. So detection takes three steps:

1. Search the whole picture at one or two sizes for candidates, down to low scores. Only a picture
   without a single good upright face is searched again in quarter turns.
2. Inspect each candidate in a crop of one size, rotated by the angle of its landmarks; an uncertain
   one is tried at six angles. The score comes from this inspection.
3. Detect the landmarks again on the face's aligned chip and its mirror image. Chips look alike at
   any size and rotation: landmarks move by 1.4 px of the chip, those of the inspection by 3.6.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agelens.errors import ConfigError
from agelens.faces.alignment import SIDE, TEMPLATE, similarity, warp
from agelens.faces.yunet import YuNet
from agelens.images.decode import Picture
from agelens.images.resample import cut, shrink
from agelens.results import Box, Face, Landmarks

COARSE = 320  # long side, in pixels, at which faces that fill the picture are found
SINGLE = 640  # pictures up to this long side are searched once, as they are
SMALLEST = 160  # smaller pictures are enlarged to this: YuNet misses faces under ~16 px
CERTAIN_SCORE = 0.92  # only faces near upright reach it when inspected (seen: 0.90 at 37 degrees)
ROTATED_SCORE = 0.8  # needed after trying several angles, since more tries have more luck
CROP = 224  # side of an inspected crop in pixels: at 112 YuNet shows only a third of a rotation
CROP_FACE = 0.58  # share of the crop that the face takes
SAME_FACE = 0.4  # overlap (intersection over union) above which two boxes are one face
MAX_UNCERTAIN = 12  # uncertain candidates inspected, best first: bounds the time per picture
LEVEL = 2.0  # degrees: a face that seems rotated by less is left as it is
MAX_INSPECTIONS = 8  # of one face, while following its rotation
FURTHEST = 25.0  # pixels of the chip: a landmark that would move further is not refined (seen: 18)
# Median place, in UTKFace's training chips, of the landmarks found on a chip of CROP pixels and its
# mirror image; those of alignment.TEMPLATE are found with a margin around the chip.
ON_CHIPS = np.array([(59.6, 58.6), (137.7, 58.9), (98.5, 102.5), (66.5, 138.4), (129.8, 138.6)])


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A candidate face; its landmarks are in pixels of the picture."""

    centre: tuple[float, float]
    width: float  # of the face, across its own axis
    height: float
    landmarks: NDArray[np.float64]  # (5, 2)
    score: float
    rotation: float  # degrees, clockwise as seen, by which the searched picture was rotated

    @classmethod
    def from_row(
        cls, row: NDArray[np.float64], to_picture: NDArray[np.float64], rotation: float
    ) -> "_Candidate":
        """Bring a row of YuNet's output into the picture by a matrix (2, 3)."""
        matrix, shift = to_picture[:, :2], to_picture[:, 2]
        x, y, width, height = row[:4]
        centre = matrix @ (x + width / 2, y + height / 2) + shift
        scale = math.sqrt(abs(float(np.linalg.det(matrix))))
        landmarks = row[4:14].reshape(5, 2) @ matrix.T + shift
        return cls(
            (float(centre[0]), float(centre[1])), width * scale, height * scale, landmarks,
            float(row[14]), rotation,
        )  # fmt: skip

    def box(self) -> Box:
        """Return the upright box around the ellipse that fills the rotated box."""
        c, s = math.cos(math.radians(self.rotation)), math.sin(math.radians(self.rotation))
        across = math.hypot(self.width * c, self.height * s) / 2
        down = math.hypot(self.width * s, self.height * c) / 2
        x, y = self.centre
        return Box(x - across, y - down, x + across, y + down)

    def is_inside(self, other: "_Candidate") -> bool:
        """Tell whether this is the other face, or a part of it."""
        a, b = self.box(), other.box()
        x, y = self.centre
        is_part = b.left < x < b.right and b.top < y < b.bottom and a.area < b.area
        return is_part or a.overlap(b) > SAME_FACE

    def face(self, picture: Picture) -> Face:
        """Return the face, its box clipped to the picture."""
        height, width = picture.shape[:2]
        box = self.box()
        clipped = Box(
            max(0.0, box.left), max(0.0, box.top),
            min(float(width), box.right), min(float(height), box.bottom),
        )  # fmt: skip
        return Face(clipped, Landmarks.from_array(self.landmarks), min(1.0, self.score))


class Detector:
    """Detects faces in pictures; safe to use from several threads, and picklable."""

    def __init__(self, longest: int = 1280, threshold: float = 0.7) -> None:
        """Prepare a detector.

        `longest` is the long side in pixels at which larger pictures are searched. Faces narrower
        than about 18 px at that size are missed, so raise it for crowds in large pictures (time
        grows with its square). `threshold` (0 to 1) is the score that a face must reach. Raises
        ConfigError for a setting out of range, ModelError if YuNet's file is missing or damaged.
        """
        if longest < COARSE:
            raise ConfigError(f"longest {longest!r}: expected at least {COARSE} pixels")
        if not 0 < threshold < 1:
            raise ConfigError(f"threshold {threshold!r}: expected more than 0 and less than 1")
        self.longest = longest
        self.threshold = threshold
        self._network = YuNet()

    def __reduce__(self) -> tuple[Callable[..., "Detector"], tuple[int, float]]:
        return Detector, (self.longest, self.threshold)

    def detect(self, picture: Picture) -> list[Face]:
        """Detect the faces in RGB uint8 (H, W, 3), largest first; none is an empty list."""
        long = max(picture.shape[:2])
        sides = [max(long, SMALLEST)] if long <= SINGLE else [COARSE, min(long, self.longest)]
        found = self._verify(picture, self._search(picture, sides, 0))
        if not found:
            quarter = [min(sides[-1], SINGLE)]
            candidates = [c for r in (90, 180, 270) for c in self._search(picture, quarter, r)]
            found = self._verify(picture, candidates)
        faces = [self._refine(picture, c).face(picture) for c in found]
        return sorted(faces, key=lambda face: -face.box.area)

    def detect_upright(self, picture: Picture) -> list[Face]:
        """Detect upright faces in one pass over RGB uint8 (H, W, 3), best first, from score 0.3.

        Ten times as fast as `detect`, and good enough if one face fills most of the picture.
        """
        (rows,) = self._network.run(picture[None])
        return [_Candidate.from_row(row, np.eye(2, 3), 0).face(picture) for row in rows]

    def _search(self, picture: Picture, sides: list[int], rotation: int) -> list[_Candidate]:
        """Find candidates in the picture rotated counter-clockwise by `rotation` degrees."""
        height, width = picture.shape[:2]
        candidates = []
        for side in sides:
            scale = side / max(height, width)
            wide, high = max(1, round(width * scale)), max(1, round(height * scale))
            small = np.rot90(shrink(picture, wide, high), rotation // 90)
            unrotate = {
                0: [[1, 0, 0], [0, 1, 0]],
                90: [[0, -1, wide], [1, 0, 0]],
                180: [[-1, 0, wide], [0, -1, high]],
                270: [[0, 1, 0], [-1, 0, high]],
            }
            # The two sides may be rounded differently, so each has its own scale.
            to_picture = np.array(unrotate[rotation]) * [[width / wide], [height / high]]
            (rows,) = self._network.run(small[None])
            candidates += [_Candidate.from_row(row, to_picture, rotation) for row in rows]
        return _suppress_overlaps(candidates)

    def _verify(self, picture: Picture, candidates: list[_Candidate]) -> list[_Candidate]:
        """Inspect each candidate and keep those that are faces."""
        certain: list[_Candidate] = []
        uncertain: list[tuple[_Candidate, _Candidate | None]] = []
        for candidate in _best_first(candidates):
            good = candidate.score >= self.threshold
            inspected = self._straighten(picture, candidate) if good else None
            if inspected and inspected.score >= CERTAIN_SCORE:
                certain.append(inspected)
            else:
                uncertain.append((candidate, inspected))
        kept = list(certain)
        for candidate, inspected in uncertain[:MAX_UNCERTAIN]:
            if not any(candidate.is_inside(other) for other in certain):
                rotated = self._try_rotations(picture, candidate)
                if rotated and rotated.score >= ROTATED_SCORE:
                    kept.append(rotated)
                if inspected and inspected.score >= self.threshold:
                    kept.append(inspected)
        return _suppress_overlaps(kept)

    def _straighten(self, picture: Picture, candidate: _Candidate) -> _Candidate | None:
        """Inspect repeatedly, each time rotated to where the last inspection saw upright."""
        last: _Candidate | None = None
        for _ in range(MAX_INSPECTIONS):
            points = candidate.landmarks
            eyes, mouth = points[1] - points[0], points[4] - points[3]
            down = points[3:].mean(axis=0) - points[:2].mean(axis=0)
            x, y = eyes + mouth + 2 * np.array([down[1], -down[0]])
            rest = (math.degrees(math.atan2(y, x)) - candidate.rotation + 180) % 360 - 180
            if last and abs(rest) < LEVEL:
                break
            found = self._inspect(picture, candidate, candidate.rotation + rest)
            if not found or (last and found.score < last.score - 0.03):
                break
            last = candidate = found
        return last

    def _try_rotations(self, picture: Picture, candidate: _Candidate) -> _Candidate | None:
        """Inspect at six angles, then straighten the best."""
        angles = (candidate.rotation + step for step in range(0, 360, 60))
        found = [c for angle in angles if (c := self._inspect(picture, candidate, angle))]
        best = max(found, key=lambda c: c.score, default=None)
        straight = self._straighten(picture, best) if best and best.score >= 0.6 else None
        return straight or best

    def _inspect(self, picture: Picture, face: _Candidate, rotation: float) -> _Candidate | None:
        """Search a small square crop around the candidate, rotated by `rotation` degrees."""
        step = max(face.width, face.height) / (CROP * CROP_FACE)
        angle = math.radians(rotation)
        c, s = step * math.cos(angle), step * math.sin(angle)
        to_picture = np.array([[c, -s, 0.0], [s, c, 0.0]])
        to_picture[:, 2] = np.array(face.centre) - to_picture[:, :2] @ (CROP / 2, CROP / 2)
        best = self._central_row(cut(picture, to_picture, CROP))
        return None if best is None else _Candidate.from_row(best, to_picture, rotation)

    def _refine(self, picture: Picture, face: _Candidate) -> _Candidate:
        """Detect the landmarks again on the face's chip and its mirror image, and average them."""
        to_chip = similarity(face.landmarks, TEMPLATE)
        chip = warp(picture, Landmarks.from_array(face.landmarks), CROP)
        row, mirrored = self._central_row(chip), self._central_row(chip[:, ::-1])
        if row is None or mirrored is None:
            return face
        straight, back = (r[4:14].reshape(5, 2) * (SIDE / CROP) for r in (row, mirrored))
        back = np.column_stack([SIDE - back[:, 0], back[:, 1]])[[1, 0, 2, 4, 3]]
        points = (straight + back) / 2 - ON_CHIPS + TEMPLATE
        moved = points - (face.landmarks @ to_chip[:, :2].T + to_chip[:, 2])
        if np.linalg.norm(moved, axis=1).max() > FURTHEST:
            return face
        return replace(face, landmarks=face.landmarks + np.linalg.solve(to_chip[:, :2], moved.T).T)

    def _central_row(self, crop: Picture) -> NDArray[np.float64] | None:
        """Return YuNet's best row in the middle of a square crop, at about the expected size."""
        (rows,) = self._network.run(crop[None])
        x, y, width, height = rows[:, :4].T / CROP
        side = np.maximum(width, height)
        is_central = np.hypot(x + width / 2 - 0.5, y + height / 2 - 0.5) < 0.25
        central = rows[is_central & (side > 0.3) & (side < 1.1)]
        return max(central, key=lambda row: float(row[14]), default=None)


def _best_first(candidates: list[_Candidate]) -> list[_Candidate]:
    return sorted(candidates, key=lambda candidate: -candidate.score)


def _suppress_overlaps(candidates: list[_Candidate]) -> list[_Candidate]:
    """Keep the best of overlapping candidates (non-maximum suppression)."""
    kept: list[_Candidate] = []
    for candidate in _best_first(candidates):
        box = candidate.box()
        if all(box.overlap(other.box()) <= SAME_FACE for other in kept):
            kept.append(candidate)
    return kept
