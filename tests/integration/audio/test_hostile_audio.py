"""Whatever is uploaded as sound, or asked for as a model, the answer is a 4xx, memory stays, and the worker lives.

Where it is shown for each kind of what comes from outside:

| hostile | shown by |
| - | - |
| a sound that is short as a file and lasts for hours | here |
| a picture that is small as a file, or claims 10^9 pixels | vision/test_hostile.py, images/test_edits.py |
| truncated files, wrong containers, playlists | here; pictures: vision/test_hostile.py |
| a head that claims 2 GB | here: of a wav, of an upload; of JSON: vision/test_hostile.py |
| samples that are no numbers | here; a model's own that are none: test_whisper_windows.py |
| addresses and redirects to what is inside | unit/workers_media/test_fetch.py, vision/test_hostile.py |
| file: and paths as pictures | unit/workers_media/test_files.py, vision/test_hostile.py |
| paths and addresses as voices | test_speech.py |
| paths and addresses as models | here |
| bodies that fit nothing at all, on every route | test_fuzzed_bodies.py |
"""

import socket
import struct
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from support import sounds
from support.daemon import Daemon
from support.tiny_models import folder

PATH = "/v1/audio/transcriptions"
_GROWTH = 192 << 20
"""What a worker may take for a moment; decoded at once, each of these would be more."""


def wav(claimed: int, content: bytes, *, channels: int = 1, rate: int = 16000) -> bytes:
    form = struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * channels * 2 & 0xFFFFFFFF, channels * 2, 16
    )  # fmt: skip
    head = struct.pack("<4sI4s", b"RIFF", 36 + claimed & 0xFFFFFFFF, b"WAVE")
    return head + form + struct.pack("<4sI", b"data", claimed) + content


def not_numbers() -> bytes:
    tone = sounds.chirp(1.0)
    tone[5000:] = np.nan
    return sounds.file("wav-float", tone)


def without_length(mp3: bytes) -> bytes:
    """Leave out the first frame, which says how many there are, so that copies in a row are one long file."""
    return mp3[mp3.index(b"\xff\xf3", 4) :]


def endless_sound(count: int = 30_000_000) -> bytes:
    """Say in one number that there are so many packets, of one byte each: 7 KB that took a decoder 1.2 GB."""
    content = bytearray(sounds.file("m4a", sounds.chirp(1.0)))
    sizes, chunks, times = (content.index(name) for name in (b"stsz", b"stsc", b"stts"))
    content[sizes + 8 : sizes + 16] = struct.pack(">II", 1, count)
    content[chunks + 16 : chunks + 20] = struct.pack(">I", count)
    content[times + 12 : times + 16] = struct.pack(">I", count)
    return bytes(content)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"not a sound at all",
    "playlist": lambda: b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n",
    "picture": lambda: b"\x89PNG\r\n\x1a\n" + bytes(100),
    "nan": not_numbers,
    "header of 2 GB": lambda: wav(2 << 30, b"\0" * 64),
    "a thousand channels": lambda: wav(1 << 20, bytes(1 << 20), channels=1000),
    "no rate": lambda: wav(64000, bytes(64000), rate=0),
    "flac cut off": lambda: sounds.file("flac", sounds.chirp(5.0))[:2000],
    "mp4 without its index": lambda: sounds.file("m4a", sounds.chirp(5.0))[:9000],
    "webm cut off": lambda: sounds.file("webm", sounds.chirp(1.0))[:120],
    "too short": lambda: sounds.file("wav", sounds.chirp(0.05)),
}
TOO_LONG: dict[str, Callable[[], bytes]] = {
    "an hour of silence in flac": lambda: sounds.file("flac", np.zeros(16000 * 3600, np.float32)),
    "an m4a whose table claims millions of packets": lambda: endless_sound(),
    "an hour of silence in mp3": lambda: (
        60 * without_length(sounds.file("mp3", np.zeros(16000 * 60, np.float32)))
    ),
}


@pytest.fixture(scope="module")
def worker(http: httpx.Client, audio_daemon: Daemon) -> psutil.Process:
    """Give the process that hears."""
    file = {"file": ("a.wav", sounds.file("wav", sounds.chirp(1.0)))}
    assert http.post(PATH, data={"model": "ears"}, files=file).status_code == 200
    (model,) = [model for model in audio_daemon.ps() if model["id"] == "ears"]
    return psutil.Process(model["pid"])


@pytest.mark.parametrize("name", list(HOSTILE))
def test_what_cannot_be_heard_is_refused(
    name: str, http: httpx.Client, worker: psutil.Process
) -> None:
    before = worker.memory_info().rss
    refused = http.post(PATH, data={"model": "ears"}, files={"file": ("a.wav", HOSTILE[name]())})
    assert refused.status_code == 400, refused.text
    assert refused.json()["error"]["param"] == "file"
    assert worker.memory_info().rss < before + _GROWTH
    assert worker.is_running()


@pytest.mark.parametrize("name", list(TOO_LONG))
def test_what_lasts_too_long_is_refused_however_small_it_is(
    name: str, http: httpx.Client, worker: psutil.Process
) -> None:
    content = TOO_LONG[name]()
    assert len(content) < 32 << 20
    before = worker.memory_info().rss
    refused = http.post(PATH, data={"model": "ears"}, files={"file": ("a.bin", content)})
    assert refused.status_code == 413, refused.text
    assert "lasts longer than the 120 seconds" in refused.json()["error"]["message"]
    assert worker.memory_info().rss < before + _GROWTH
    assert worker.is_running()


def test_an_upload_that_claims_2_gb_is_refused_before_it_is_read(audio_daemon: Daemon) -> None:
    head = (
        f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {2 << 30}\r\n"
        "content-type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
    )
    with socket.create_connection(("127.0.0.1", audio_daemon.port), timeout=60) as connection:
        connection.sendall(head.encode())
        assert connection.recv(64).startswith(b"HTTP/1.1 413")


MODELS = (
    "..", "../../../etc/passwd", "/etc", "ears/../ears", "..%2fears", "file:///etc", "http://127.0.0.1:1/a", "~root",
    "a\0b", "con\\..\\b", "models--a--b/snapshots/main",
)  # fmt: skip
ROUTES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "a"}]},
    "/v1/messages": {"messages": [{"role": "user", "content": "a"}], "max_tokens": 1},
    "/v1/responses": {"input": "a"},
    "/v1/embeddings": {"input": "a"},
    "/v1/rerank": {"query": "a", "documents": ["a"]},
    "/v1/audio/speech": {"input": "a"},
    "/v1/images/generations": {"prompt": "a"},
    "/api/chat": {"messages": [{"role": "user", "content": "a"}]},
    "/api/show": {},
    "/v1/models/load": {},
    "/v1/models/plan": {},
}


@pytest.mark.parametrize("path", ROUTES)
def test_a_model_s_name_is_never_a_path(
    path: str, http: httpx.Client, audio_daemon: Daemon
) -> None:
    loaded = audio_daemon.ps()
    for name in (*MODELS, str(folder("whisper")), f"file://{folder('whisper')}"):
        refused = http.post(path, json={"model": name, **ROUTES[path]})
        assert refused.status_code == 404, (name, refused.text)
        assert "root:" not in refused.text
    assert {model["id"] for model in audio_daemon.ps()} == {model["id"] for model in loaded}


@pytest.mark.parametrize("path", [PATH, "/v1/audio/translations", "/v1/images/edits"])
def test_nor_is_that_in_a_form(path: str, http: httpx.Client) -> None:
    files = {"file": ("../../a.wav", b"RIFF"), "image": ("/etc/passwd", b"RIFF")}
    for name in (*MODELS, str(folder("whisper"))):
        refused = http.post(path, data={"model": name, "prompt": "a"}, files=files)
        assert refused.status_code == 404, (name, refused.text)


def test_after_all_of_it_the_same_worker_hears(http: httpx.Client, worker: psutil.Process) -> None:
    file = {"file": ("a.wav", sounds.file("wav", sounds.chirp(2.0)))}
    answer = http.post(PATH, data={"model": "ears"}, files=file)
    assert answer.status_code == 200 and answer.json()["text"]
    assert worker.is_running()
