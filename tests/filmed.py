"""Clips and a camera over HTTP for the tests: a portrait moved along known paths, with sound."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

av = pytest.importorskip("av")  # the extra `video`


def film(
    path: Path, frames: Iterable[NDArray[np.uint8]], rate: int = 10, *,
    codec: str = "libx264", sound: str | None = None, turned: int = 0,
    times: list[float] | None = None, options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
) -> Path:  # fmt: skip
    """Write frames (H, W, 3) as a clip; `sound` is the codec of a 440 Hz tone beside them."""
    frames = list(frames)
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = {"ffv1": "bgr0", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
        stream.codec_context.time_base = Fraction(1, 1000)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        if turned:
            stream.set_display_rotation(turned)
        tone = container.add_stream(sound, rate=48000, layout="mono") if sound else None
        for i, pixels in enumerate(frames):
            image = av.VideoFrame.from_ndarray(pixels, "rgb24")
            image.time_base = Fraction(1, 1000)
            image.pts = round(1000 * (i / rate if times is None else times[i]))
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))
        if tone is not None:
            length = round(48000 * len(frames) / rate)
            wave = 0.3 * np.sin(2 * np.pi * 440 * np.arange(length) / 48000)
            heard = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), "fltp", "mono")
            heard.sample_rate, heard.pts = 48000, 0
            container.mux(tone.encode(heard))
            container.mux(tone.encode(None))
    return path


def room(height: int = 240, width: int = 320, seed: int = 0) -> NDArray[np.uint8]:
    """Draw a background of soft, dim shapes, in which no face is found."""
    coarse = np.random.default_rng(seed).integers(40, 120, (5, 6, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def paste(scene: NDArray[np.uint8], head: NDArray[np.uint8], x: float, y: float) -> None:
    """Put a head into a scene with its middle at (x, y), inside an ellipse, cut at the edges."""
    high, wide = head.shape[:2]
    mask = np.zeros((high, wide), np.uint8)
    cv2.ellipse(mask, (wide // 2, high // 2), (wide // 2, high // 2), 0, 0, 360, 255, -1)
    left, top = round(x - wide / 2), round(y - high / 2)
    padded = np.pad(scene, ((high, high), (wide, wide), (0, 0)))  # what is outside is cut off
    part = padded[top + high : top + 2 * high, left + wide : left + 2 * wide]
    if part.shape == head.shape:
        part[mask > 0] = head[mask > 0]
        scene[:] = padded[high:-high, wide:-wide]


def head_of(portrait: NDArray[np.uint8], side: int = 110) -> NDArray[np.uint8]:
    return np.asarray(
        cv2.resize(portrait[10:230, 120:330], (side, side), interpolation=cv2.INTER_AREA), np.uint8
    )


def moving(
    heads: list[NDArray[np.uint8]], path: Callable[[int], list[tuple[float, float] | None]],
    count: int, background: NDArray[np.uint8] | None = None,
) -> list[NDArray[np.uint8]]:  # fmt: skip
    """Give frames in which each head is where `path` of the frame says; None is not there."""
    frames = []
    for i in range(count):
        scene = (room() if background is None else background).copy()
        for head, place in zip(heads, path(i), strict=True):
            if place is not None:
                paste(scene, head, *place)
        frames.append(scene)
    return frames


@contextmanager
def streaming(frames: Sequence[NDArray[np.uint8]], *, stalls: bool = False) -> Iterator[str]:
    """Serve RGB frames (H, W, 3) at the address given; then close, or with `stalls` say no more."""
    files = [cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes() for frame in frames]
    left = threading.Event()

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            with suppress(ConnectionError):  # the other side has seen enough
                for file in files:
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(file)}"
                    self.wfile.write(head.encode() + b"\r\n\r\n" + file + b"\r\n")
            if stalls:
                left.wait(30)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/camera"
        finally:
            left.set()
            server.shutdown()
            thread.join()
