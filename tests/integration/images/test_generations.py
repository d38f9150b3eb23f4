"""A prompt in, pictures out, through the daemon by the official client: the pictures mlx-vlm itself would draw."""

import base64
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx
import mlx.core as mx
import numpy as np
import openai
import pytest
from mlx_vlm.generate.image import ImageGenerationRequest, load_image_generation_model
from support.daemon import Daemon
from support.deadline import until
from support.pictures import events, opened, pixels
from support.tiny_models import folder

PATH = "/v1/images/generations"
PROMPT = "A red square on a blue field"
SMALL = {"size": "48x32"}
FEW: dict[str, Any] = {"seed": 7, "steps": 4}


@cache
def library(kind: str) -> Any:
    """Return the model as mlx-vlm loads it."""
    return load_image_generation_model(str(folder(kind)), evict_text_encoder=False)


def drawn(kind: str, prompt: str = PROMPT, **options: Any) -> Any:
    """Return the numbers of the picture that mlx-vlm draws in one call."""
    request = ImageGenerationRequest(prompt, width=48, height=32, **options)
    return np.asarray(library(kind).generate(request).array)


@pytest.fixture(scope="module", autouse=True)
def _streams() -> Iterator[None]:
    yield
    mx.clear_cache()


def ask(sdk: openai.OpenAI, model: str = "brush", prompt: str = PROMPT, **more: Any) -> Any:
    """Ask for small pictures in few steps."""
    size = more.pop("size", "48x32")
    n = more.pop("n", None)
    known = {"n": n} if n else {}
    return sdk.images.generate(
        model=model, prompt=prompt, size=size, extra_body=FEW | more, **known
    )


@pytest.mark.parametrize(
    "options",
    [
        {"seed": 7, "steps": 4},
        {"seed": 8, "steps": 4},
        {"seed": 7, "steps": 3, "guidance": 1.0},
        {"seed": 7, "steps": 3, "guidance": 2.5, "negative_prompt": "blue"},
    ],
)
def test_a_picture_is_the_one_that_mlx_vlm_draws_of_the_same_seed_and_settings(
    options: dict[str, Any], sdk: openai.OpenAI
) -> None:
    ours = pixels(ask(sdk, **options).data[0].b64_json)
    extra = {name: options.pop(name) for name in ("negative_prompt",) if name in options}
    theirs = drawn("z_image", **options, extra=extra)
    assert ours.shape == (32, 48, 3) and np.array_equal(ours, theirs)


def test_a_distilled_model_draws_without_guidance_what_mlx_vlm_draws(sdk: openai.OpenAI) -> None:
    answer = ask(sdk, "turbo")
    assert np.array_equal(pixels(answer.data[0].b64_json), drawn("z_image_turbo", **FEW))


@pytest.mark.parametrize("options", [{"guidance": 1.0}, {"negative_prompt": "blue"}])
def test_another_family_draws_what_mlx_vlm_draws(
    options: dict[str, Any], sdk: openai.OpenAI
) -> None:
    answer = ask(sdk, "moss", **options, steps=2)
    extra = {name: options.pop(name) for name in ("negative_prompt",) if name in options}
    theirs = drawn("moss_image", seed=7, steps=2, **options, extra=extra)
    assert np.array_equal(pixels(answer.data[0].b64_json), theirs)


def test_seeds_and_prompts_make_pictures_different_and_nothing_else_does(
    sdk: openai.OpenAI,
) -> None:
    first = ask(sdk).data[0].b64_json
    assert ask(sdk).data[0].b64_json == first
    assert ask(sdk, seed=8).data[0].b64_json != first
    assert ask(sdk, prompt="The fox jumps over the dog at night").data[0].b64_json != first


def test_several_pictures_are_those_that_their_seeds_make_alone(sdk: openai.OpenAI) -> None:
    answer = ask(sdk, n=3)
    assert [picture.seed for picture in answer.data] == [7, 8, 9]
    alone = [ask(sdk, seed=seed).data[0].b64_json for seed in (7, 8, 9)]
    assert [picture.b64_json for picture in answer.data] == alone
    assert len(set(alone)) == 3


def test_who_names_no_seed_is_told_the_one_that_makes_the_picture_again(
    sdk: openai.OpenAI,
) -> None:
    one, other = (ask(sdk, seed=None).data[0] for _ in range(2))
    assert one.seed != other.seed
    assert ask(sdk, seed=one.seed).data[0].b64_json == one.b64_json


def test_the_answer_says_size_format_and_what_it_took(sdk: openai.OpenAI) -> None:
    answer = ask(sdk, n=2)
    assert (answer.size, answer.output_format, answer.background) == ("48x32", "png", "opaque")
    usage = answer.usage
    assert usage.output_tokens == 2 * 3 * 2
    assert usage.input_tokens == usage.input_tokens_details.text_tokens > 5
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens


@pytest.mark.parametrize("name", ["png", "jpeg", "webp"])
def test_every_format_is_what_it_claims(name: Any, sdk: openai.OpenAI) -> None:
    whole = ask(sdk)
    answer = ask(sdk, output_format=name)
    picture = opened(base64.b64decode(answer.data[0].b64_json))
    assert (picture.format, picture.size, picture.mode) == (name.upper(), (48, 32), "RGB")
    off = np.abs(np.asarray(picture).astype(int) - pixels(whole.data[0].b64_json))
    assert off.max() == 0 if name == "png" else off.mean() < 30
    if name != "png":
        less = ask(sdk, output_format=name, output_compression=20).data[0].b64_json
        assert len(less) < len(answer.data[0].b64_json) * 0.7


def test_a_stream_shows_unfinished_pictures_and_ends_with_the_one_that_is_whole(
    sdk: openai.OpenAI,
) -> None:
    stream = sdk.images.generate(
        model="brush", prompt=PROMPT, size="48x32",
        stream=True, partial_images=2, extra_body={**FEW, "steps": 6},
    )  # fmt: skip
    *partial, done = list(stream)
    assert [event.type for event in partial] == ["image_generation.partial_image"] * 2
    assert [event.partial_image_index for event in partial] == [0, 1]  # type: ignore[union-attr]
    assert done.type == "image_generation.completed" and done.usage.output_tokens == 6
    assert np.array_equal(pixels(done.b64_json), drawn("z_image", seed=7, steps=6))
    unfinished = [event.b64_json for event in partial]
    assert len({*unfinished, done.b64_json}) == 3
    assert all(pixels(b64).shape == (32, 48, 3) for b64 in unfinished)


def test_a_stream_counts_its_steps_in_comments(http: httpx.Client) -> None:
    answer = http.post(
        PATH, json={"model": "turbo", "prompt": PROMPT, "stream": True, "n": 2, **SMALL, **FEW}
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    steps = [line for line in answer.text.splitlines() if line.startswith(": step")]
    assert steps == [": step 1 of 3", ": step 2 of 3", ": step 3 of 3"] * 2
    found = events(answer.text)
    assert [event["type"] for event in found] == ["image_generation.completed"] * 2
    assert [event["seed"] for event in found] == [7, 8]


def test_who_names_nothing_gets_what_the_model_would_choose(http: httpx.Client) -> None:
    """The largest square that the settings allow, in the model's own number of steps."""
    answer = http.post(PATH, json={"model": "turbo", "prompt": PROMPT, "n": 1, "size": "auto"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["size"] == "192x192"


def test_who_leaves_in_the_middle_frees_the_model_within_a_step(
    http: httpx.Client, sdk: openai.OpenAI, drawing_daemon: Daemon
) -> None:
    def stats() -> dict[str, Any]:
        models = drawing_daemon.get("/v1/batch/stats")["models"]
        return next((model for model in models if model["id"] == "brush"), {})

    ask(sdk)
    before = stats()
    long = {"model": "brush", "prompt": PROMPT, "size": "128x128", "steps": 250, "stream": True}
    with http.stream("POST", PATH, json=long) as answer:
        next(answer.iter_bytes())
    until(lambda: stats()["cancelled"] > before["cancelled"], within=60, what="it is given up")
    assert stats()["finished"] == before["finished"]
    assert np.array_equal(pixels(ask(sdk).data[0].b64_json), drawn("z_image", **FEW))


def test_a_model_that_draws_lives_beside_one_that_writes_and_can_be_unloaded(
    sdk: openai.OpenAI, drawing_daemon: Daemon
) -> None:
    ask(sdk)
    words = sdk.chat.completions.create(
        model="pen", messages=[{"role": "user", "content": "hi"}], max_tokens=3
    )
    assert words.choices[0].message.content is not None
    states = {model["id"]: (model["kind"], model["state"]) for model in drawing_daemon.ps()}
    assert states["brush"] == ("image", "ready") and states["pen"][0] == "text"
    ask(sdk, keep_alive=0)
    until(
        lambda: all(model["id"] != "brush" or model["state"] != "ready" for model in drawing_daemon.ps()),
        within=60,
        what="the model leaves when it was told to",
    )  # fmt: skip
    assert np.array_equal(pixels(ask(sdk).data[0].b64_json), drawn("z_image", **FEW))
