"""Make tiny films, each frame of which can be told from the others, and files that are none."""

import base64
import functools
import io

import av
import numpy as np

MP4 = ("mp4", "libx264")
SIZE = (112, 84)


@functools.cache
def film(
    seed: int = 1,
    *,
    frames: int = 20,
    rate: int = 10,
    size: tuple[int, int] = SIZE,
    kind: tuple[str, str] = MP4,
    yuv: str = "yuv420p",
    options: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """Return a file in which coarse noise moves to the right; another seed is another film."""
    draw = np.random.default_rng(seed)
    scene = draw.integers(0, 255, (4, 6, 3), dtype=np.uint8)
    file = io.BytesIO()
    with av.open(file, "w", format=kind[0], options=dict(options)) as container:
        stream = container.add_stream(kind[1], rate=rate, options={"threads": "1"})
        stream.width, stream.height = size
        stream.pix_fmt = yuv
        for at in range(frames):
            moved = np.roll(scene, at, axis=1)
            picture = np.kron(moved, np.ones((size[1] // 4, size[0] // 6 + 1, 1), np.uint8))
            shown = np.ascontiguousarray(picture[: size[1], : size[0]])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def uri(content: bytes, kind: str = "video/mp4") -> str:
    """Return a data: URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def recording(codec: str, *, seconds: int) -> bytes:
    """Return a QuickTime file of silence at 48 kHz."""
    file, rate = io.BytesIO(), 48_000
    with av.open(file, "w", format="mov") as container:
        stream = container.add_stream(codec, rate=rate, layout="stereo")
        for _ in range(seconds):
            silence = av.AudioFrame.from_ndarray(
                np.zeros((1, 2 * rate), np.int16), format="s16", layout="stereo"
            )
            silence.sample_rate = rate
            container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    return file.getvalue()
