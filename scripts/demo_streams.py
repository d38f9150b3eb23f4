"""Stream eight answers at once from the demo model and show that one worker's batch serves them all."""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

QUESTIONS = (
    "Count from 1 to 30.",
    "How do I unload a model?",
    "Count to 25, please.",
    "What does mlxctl ps do?",
    "What is 2 plus 3?",
    "Count from 1 to 20.",
    "What is a worker?",
    "How do I start the daemon?",
)
LOOK_EVERY_S = 0.02
BAR = "█"


@dataclass
class Stream:
    """One answer, as far as it has come."""

    question: str
    text: str = ""
    error: str = ""
    done: bool = False


@dataclass(frozen=True)
class Look:
    """What the batch did at one moment."""

    seconds: float
    pids: tuple[int, ...]
    rows: int
    speed: float


def main() -> int:
    """Run the streams and return 0 when all ended well in one worker that ran several at once."""
    port = urlsplit(daemon_url()).port or 0
    streams = [Stream(question) for question in QUESTIONS]
    threads = [threading.Thread(target=run, args=(port, stream), daemon=True) for stream in streams]
    print(
        f"{len(streams)} streams begin at once; rows of the batch, as /v1/batch/stats tells them:"
    )
    for thread in threads:
        thread.start()
    looks = list(watch(port, streams))
    for stream in streams:
        print(f"  {stream.question}  ->  {shortened(stream.error or stream.text)}")
    return judge(streams, looks)


def daemon_url() -> str:
    """Ask `mlxctl` where the daemon listens."""
    done = subprocess.run(["mlxctl", "status", "--json"], stdout=subprocess.PIPE, check=True)
    return str(json.loads(done.stdout)["url"])


def run(port: int, stream: Stream) -> None:
    """Stream one answer into `stream`."""
    body = {
        "model": "demo",
        "stream": True,
        "max_tokens": 160,
        "temperature": 0,
        "messages": [{"role": "user", "content": stream.question}],
    }
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        connection.request(
            "POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"}
        )
        response = connection.getresponse()
        for line in response:
            take(line, stream)
    except OSError as error:
        stream.error = str(error)
    finally:
        connection.close()
        stream.done = True


def take(line: bytes, stream: Stream) -> None:
    """Add what one line of the stream brings."""
    data = line.removeprefix(b"data: ").strip()
    if not data.startswith(b"{"):
        return
    chunk = json.loads(data)
    if "error" in chunk:
        stream.error = chunk["error"]["message"]
    for choice in chunk.get("choices", []):
        stream.text += choice["delta"].get("content") or ""


def watch(port: int, streams: list[Stream]) -> Iterator[Look]:
    """Look at the batch until all streams have ended; print what changed."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    began = time.monotonic()
    shown = None
    while not all(stream.done for stream in streams):
        connection.request("GET", "/v1/batch/stats")
        models = json.load(connection.getresponse())["models"]
        look = seen(models, time.monotonic() - began)
        if look.rows and look.rows != shown:
            shown = look.rows
            pids = ", ".join(map(str, look.pids))
            print(f"  {look.seconds:5.2f} s  pid {pids}  {BAR * look.rows:<8} {look.rows} rows")
        yield look
        time.sleep(LOOK_EVERY_S)
    connection.close()


def seen(models: list[dict[str, Any]], seconds: float) -> Look:
    """Add up what the workers tell."""
    return Look(
        seconds=seconds,
        pids=tuple(model["pid"] for model in models),
        rows=sum(model["decode"] + model["prefill"] for model in models),
        speed=sum(model["generation_tokens_per_second"] for model in models),
    )


def judge(streams: list[Stream], looks: list[Look]) -> int:
    """Say in one line how it went."""
    failed = [stream for stream in streams if stream.error or not stream.text.strip()]
    pids = {pid for look in looks for pid in look.pids}
    rows = max((look.rows for look in looks), default=0)
    speed = max((look.speed for look in looks), default=0.0)
    print(
        f"{len(streams) - len(failed)} answers, {len(pids)} worker, at most {rows} rows at once, ",
        end="",
    )
    print(f"up to {speed:.0f} tokens/s together")
    return 0 if not failed and len(pids) == 1 and rows > 1 else 1


def shortened(text: str, width: int = 60) -> str:
    """Return the text on one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
