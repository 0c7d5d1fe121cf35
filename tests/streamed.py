"""A camera as they are sold: JPEG after JPEG in one answer over HTTP."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
from numpy.typing import NDArray


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
