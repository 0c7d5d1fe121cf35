"""How pictures inside a network change their size."""

from torch import Tensor
from torch.nn import functional


def resized(x: Tensor, size: int, padding: float = 0.0) -> Tensor:
    """Take (B, C, S, S), give (B, C, size, size); `padding` of S is put around it in black first.

    The sampling points are those of OpenCV's linear warp, which makes the training chips.
    """
    if edge := round(x.shape[-1] * padding):
        x = functional.pad(x, (edge, edge, edge, edge))
    if x.shape[-1] == size:
        return x
    return functional.interpolate(x, (size, size), mode="bilinear", align_corners=False)
