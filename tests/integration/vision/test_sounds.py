"""A sound in a message is heard as the model's own family hears it, each alone, and by nobody else's row or cache."""

import base64
import io
from typing import Any

import mlx_vlm
import openai
import pytest
import soundfile
from mlx_vlm.utils import prepare_inputs
from support import sounds
from support.engine_rig import Rig, alone
from support.films import film
from support.films import uri as film_uri
from support.seeing import picture, seeing, uri

from mlxd.protocol.errors import InvalidRequest, RequestTooLarge, UnsupportedField
from mlxd.workers.chat.content import SoundPart
from mlxd.workers.chat.request import ChatRequest, Role, Turn
from mlxd.workers.engine import batch as batches
from mlxd.workers.engine.reuse import Reuse
from mlxd.workers.prompt_cache import caches
from mlxd.workers.prompt_cache.tiers import PromptCache

KIND = "gemma4"
LONG = "Listen to all of this with care, from the beginning to the end and back, and then say: "
FIELD = "messages[0].content[1].input_audio.data"


def tone(seconds: float, pitch: float = 100.0, kind: str = "wav") -> bytes:
    return sounds.file(kind, sounds.chirp(seconds, pitch=pitch))


def part(content: bytes) -> SoundPart:
    return SoundPart(field="sound", base64=base64.b64encode(content).decode())


@pytest.mark.parametrize("seconds", [0.2, 1.0, 2.52, 30.0])
def test_tokens_and_answers_are_those_of_the_familys_own_code(seconds: float) -> None:
    model = seeing(KIND)
    processor: Any = model.eyes._processor
    content = tone(seconds)
    samples, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    said = [{"type": "text", "text": "Write "}, {"type": "audio"}, {"type": "text", "text": "."}]
    prompt = processor.tokenizer.apply_chat_template(
        [{"role": "user", "content": said}], tokenize=False, add_generation_prompt=True
    )
    asked = model.request("Write ", part(content), ".")
    made = prepare_inputs(processor, audio=[samples], prompts=prompt)
    assert list(asked.prompt) == made["input_ids"].reshape(-1).tolist()
    assert len(asked.reading.heard) == 1  # type: ignore[union-attr]
    results = mlx_vlm.stream_generate(
        model.model, processor, prompt, audio=[samples], max_tokens=12, temperature=0.0
    )
    tokens = [list(result.token_ids) for result in results if result.token_ids is not None]
    assert alone(model.lane, asked) == tokens[-1]


def test_each_of_several_sounds_is_heard_as_if_it_were_alone() -> None:
    model = seeing(KIND)
    short, long = part(tone(1.01)), part(tone(2.5, 300))
    both: Any = model.request("a ", short, " b ", long, " c").reading
    for at, sound in enumerate((short, long)):
        single: Any = model.request(sound).reading
        heard, expected = both.heard[at], single.heard[0]
        assert (heard.features == expected.features).all()
        assert heard.run.stop - heard.run.start == expected.run.stop - expected.run.start
    assert both.heard[0].run.stop - both.heard[0].run.start == 26, "1.04 s of 40 ms each"


def test_rows_with_sounds_and_their_neighbours_say_what_they_say_alone() -> None:
    model = seeing(KIND)
    asked = [
        model.request("hello world"),
        model.request("Write ", part(tone(1.0))),
        model.request("The quick brown fox jumps over the lazy dog, and then what?"),
        model.request("Write ", part(tone(1.0, 300))),
        model.request("See ", picture(1), " hear ", part(tone(0.7)), part(tone(2.0)), " which?"),
    ]
    expected = [alone(model.lane, item) for item in asked]
    assert len({tuple(tokens) for tokens in expected}) == len(expected), "sounds matter"
    rig, uids = Rig(model.lane), []
    for item in asked:
        uids += rig.submit(item)
        rig.step(3)
    rig.finish()
    assert [rig.tokens(uid) for uid in uids] == expected


def test_a_sound_is_known_again_and_another_of_its_length_is_not() -> None:
    model = seeing(KIND)
    limit = caches.trim_limit(batches.new_cache(model.lane.model))
    rig = Rig(model.lane, Reuse(PromptCache(64 << 20), limit, wanted=64 << 20))

    def answered(pitch: float) -> tuple[int, int]:
        asked = model.request(LONG, part(tone(1.0, pitch)), " What is it?")
        uids = rig.submit(asked)
        rig.finish()
        assert rig.tokens(uids[0]) == alone(model.lane, asked)
        assert asked.reading is not None
        return rig.cached(uids[0]), min(run.start for run in asked.reading.runs)  # type: ignore[attr-defined]

    assert answered(100.0)[0] == 0
    cached, start = answered(300.0)
    assert cached <= start
    cached, start = answered(100.0)
    assert cached > start


@pytest.mark.parametrize("kind", ["mp3", "flac", "opus", "m4a", "webm"])
def test_every_container_of_transcription_is_heard(kind: str) -> None:
    asked = seeing(KIND).request(part(tone(1.0, kind=kind)))
    (heard,) = asked.reading.heard  # type: ignore[union-attr]
    assert 24 <= heard.run.stop - heard.run.start <= 28


@pytest.mark.parametrize(
    ("content", "error", "why"),
    [
        (tone(30.1), RequestTooLarge, "sound: lasts longer than the 30 seconds"),
        (tone(0.01), InvalidRequest, "sound: expected at least 0.1 seconds"),
        (tone(1.0)[:40], InvalidRequest, "^sound: "),
        (b"RIFF\0\0\0\0WAVEfmt ", InvalidRequest, "^sound: "),
        (b"#EXTM3U\nfile:///etc/passwd\n", InvalidRequest, "^sound: expected wav"),
        (bytes(range(256)) * 9, InvalidRequest, "^sound: "),
    ],
)
def test_what_is_no_sound_or_too_long_is_the_callers_mistake(
    content: bytes, error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why) as caught:
        seeing(KIND).request(part(content))
    assert caught.value.field == "sound"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "takes"),
    [("qwen2_vl", "text, images and films"), ("gemma3_vl", "text and images"), ("smolvlm", "text and images")],
)  # fmt: skip
async def test_a_model_without_ears_says_what_it_takes(kind: str, takes: str) -> None:
    turn = Turn(role=Role.USER, images=(part(tone(1.0)),))
    with pytest.raises(UnsupportedField, match=f"takes {takes}, not sounds") as caught:
        await seeing(kind).writer.chat(ChatRequest(turns=(turn,)))
    assert caught.value.field == "sound"


@pytest.mark.timeout(300)
def test_the_official_client_sends_sounds_beside_pictures(client: openai.OpenAI) -> None:
    def said(model: str, *parts: dict[str, Any]) -> Any:
        content: Any = [{"type": "text", "text": "what "}, *parts]
        return client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": content}], max_tokens=8, temperature=0
        )  # fmt: skip

    def inside(content: bytes) -> dict[str, Any]:
        data = base64.b64encode(content).decode()
        return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}

    url = {"type": "audio_url", "audio_url": {"url": uri(tone(1.0), "audio/wav")}}
    image = {"type": "image_url", "image_url": {"url": uri(picture(1))}}
    first, again = said(KIND, inside(tone(1.0))), said(KIND, url)
    assert first.choices[0].message.content == again.choices[0].message.content
    assert again.usage.prompt_tokens_details.cached_tokens >= 25
    other = said(KIND, inside(tone(1.0, 300)), image)
    assert other.choices[0].message.content != first.choices[0].message.content
    parts: Any = [{"type": "input_text", "text": "what "}, inside(tone(1.0))]
    answer = client.responses.create(
        model=KIND, input=[{"role": "user", "content": parts}], max_output_tokens=16, temperature=0
    )
    assert answer.output_text.startswith(first.choices[0].message.content.strip()[:4])
    for model, wrong in ((KIND, inside(b"no sound")), ("demo", inside(tone(1.0)))):
        with pytest.raises(openai.BadRequestError) as caught:
            said(model, wrong)
        assert caught.value.param == FIELD
    rolling = {"type": "video_url", "video_url": {"url": film_uri(film(1))}}
    assert said(KIND, rolling, inside(tone(1.0)), image).usage.prompt_tokens > 300
