"""Make files that are not the films they say they are, or more than anybody should decode."""

import functools
import io
import struct
import wave

from support.films import SIZE, film

VP8 = ("webm", "libvpx")
MPEG4 = ("mp4", "mpeg4")


def huge(width: int, height: int) -> bytes:
    """Return a film whose container says it is small, and whose frames claim to be larger."""
    small, large = (
        f"4983420{side[0] - 1:04x}{side[1] - 1:04x}" for side in (SIZE, (width, height))
    )
    found = film(kind=("webm", "libvpx-vp9")).hex()
    assert small in found
    return bytes.fromhex(found.replace(small, large))


def endless(count: int = 30_000_000) -> bytes:
    """Return a small film whose table says that one size is that of each of so many frames."""
    found = bytearray(film(kind=MPEG4))
    sizes, chunks, times = (found.index(name) for name in (b"stsz", b"stsc", b"stts"))
    found[sizes + 8 : sizes + 16] = struct.pack(">II", 1, count)
    found[chunks + 16 : chunks + 20] = struct.pack(">I", count)
    found[times + 12 : times + 16] = struct.pack(">I", count)
    return bytes(found)


def endless_fragment(count: int = 30_000_000) -> bytes:
    """Return a small film in fragments, of which one says that it has so many frames."""
    found = bytearray(film(kind=MPEG4, options=(("movflags", "frag_keyframe+empty_moov"),)))
    at = found.index(b"trun")
    found[at + 4 : at + 12] = struct.pack(">II", 1, count)
    return bytes(found)


def silent() -> bytes:
    """Return a sound."""
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(8000)
        written.writeframes(bytes(8000))
    return file.getvalue()


@functools.cache
def hostile() -> dict[str, bytes]:
    """Return files to refuse, by what is wrong with them."""
    whole, web = film(), film(kind=VP8)
    return {
        "truncated mp4": whole[: len(whole) // 2],
        "truncated webm": web[: len(web) // 2],
        "only a head": whole[:40],
        "a head and noise": whole[:40] + bytes(range(256)) * 9,
        "frames of noise": whole[:600] + bytes(range(256)) * 24 + whole[6744:],
        "a billion pixels": huge(31623, 31623),
        "more pixels than are decoded": huge(4096, 2400),
        "a table of many frames": endless(),
        "a fragment of many frames": endless_fragment(),
        "an hour of frames": film(frames=3600, rate=1, size=(16, 16), kind=MPEG4),
        "another codec": film(kind=("avi", "mjpeg"), yuv="yuvj420p"),
        "another container": film(kind=("mpegts", "libx264")),
        "a playlist": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        "a list of files": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "a sound": silent(),
        "text": b"hello",
        "noise": bytes(range(256)) * 8,
    }
