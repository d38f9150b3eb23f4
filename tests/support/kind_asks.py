"""Ask one model of each kind the same things again and again, by OpenAI's client where it has the route."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import openai
from support import espeak, sounds
from support.seeing import picture, uri

MODELS = {
    "writes": "qwen3", "sees": "qwen2_vl", "compares": "bert", "ranks": "bert_reranker", "speaks": "pocket_tts",
    "hears": "whisper", "draws": "z_image_turbo",
}  # fmt: skip
"""A name for each kind of model, and which tiny one it is."""
_PROMPTS = ("Hello there", "What is the weather in Paris?", "Count to ten, slowly.")
_TEXTS = ("A heron wades.", "The loaf is in the oven, and it smells of rye.", "Rain " * 40)
_WORDS = ("One two", "Three four five and some more of it", "Six")

_SAID = ("Herons wade.", "The loaf is in the oven, and smells of rye.", "One, two, three, four.")


@dataclass(frozen=True)
class Clients:
    """Hold what the requests go through."""

    sdk: openai.OpenAI
    http: httpx.Client


def ask(clients: Clients, kind: str, number: int) -> Any:
    """Return the answer to question `number` of the model named `kind`, as something that can be compared."""
    return _ASKS[kind](clients, number % 3)


def _writes(clients: Clients, number: int) -> str:
    stream = clients.sdk.chat.completions.create(
        model="writes",
        messages=[{"role": "user", "content": _PROMPTS[number]}],
        max_tokens=16,
        temperature=0,
        stream=True,
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def _sees(clients: Clients, number: int) -> str:
    parts: Any = [
        {"type": "text", "text": _PROMPTS[number]},
        {"type": "image_url", "image_url": {"url": uri(picture(number))}},
    ]
    answer = clients.sdk.chat.completions.create(
        model="sees", messages=[{"role": "user", "content": parts}], max_tokens=8, temperature=0
    )
    return answer.choices[0].message.content or ""


def _compares(clients: Clients, number: int) -> tuple[float, ...]:
    answer = clients.sdk.embeddings.create(model="compares", input=_TEXTS[number])
    return _rounded(answer.data[0].embedding)


def _ranks(clients: Clients, number: int) -> tuple[float, ...]:
    body = {"model": "ranks", "query": _PROMPTS[number], "documents": list(_TEXTS)}
    results = clients.http.post("/v1/rerank", json=body).raise_for_status().json()["results"]
    scores = {result["index"]: result["relevance_score"] for result in results}
    return _rounded([scores[place] for place in range(len(_TEXTS))])


def _speaks(clients: Clients, number: int) -> bytes:
    return clients.sdk.audio.speech.create(
        model="speaks", input=_WORDS[number], voice="alba", response_format="pcm"
    ).read()


def _hears(clients: Clients, number: int) -> str:
    file = (f"{number}.flac", _spoken(number))
    return clients.sdk.audio.transcriptions.create(
        model="hears", file=file, language="en", prompt=_SAID[number - 1]
    ).text


def _draws(clients: Clients, number: int) -> str:
    answer = clients.sdk.images.generate(
        model="draws",
        prompt=_PROMPTS[number],
        size=_SIZE,
        extra_body={"seed": number, "steps": 2},
    )
    assert answer.data is not None
    return answer.data[0].b64_json or ""


_SIZE = "48x32"
_ASKS: dict[str, Callable[[Clients, int], Any]] = {
    "writes": _writes, "sees": _sees, "compares": _compares, "ranks": _ranks, "speaks": _speaks, "hears": _hears,
    "draws": _draws,
}  # fmt: skip


@functools.cache
def _spoken(number: int) -> bytes:
    return sounds.file("flac", *espeak.say(_SAID[number]))


def _rounded(numbers: list[float]) -> tuple[float, ...]:
    return tuple(round(number, 4) for number in numbers)
