"""The demo model that ships with mlxd answers, counts, adds, thinks, calls tools and stops by itself.

Every prompt here is greedy and goes through mlx_lm as a worker would load it.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "config" / "demo_model"
FILES = {
    "README.md",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
}
GREETING = "Hello! I am the demo model of mlxd. Ask me about mlxd, or ask me to count or to add."
UNKNOWN = "I am a tiny demo model: I only know mlxd, counting and small sums."
GET_WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
# None of these is in the training text.
UNSEEN_CITIES = (
    "Reykjavik Lausanne Bordeaux Utrecht Brno Izmir Karachi Taipei Phoenix Orlando".split()
)


class Speaker:
    """The shipped folder, loaded by mlx_lm, answering greedily."""

    def __init__(self) -> None:
        import mlx.core as mx
        from mlx_lm import load
        from mlx_lm.models.cache import make_prompt_cache

        self._mx, self._new_cache = mx, make_prompt_cache
        self.model, self.tokenizer = load(str(FOLDER))[:2]

    def rows(self, prompts: list[list[int]], longest: int) -> list[list[int]]:
        """Continue prompts of one length together, each up to its end token."""
        mx, cache = self._mx, self._new_cache(self.model)
        tokens = mx.array(prompts)
        said: list[list[int]] = []
        ended = mx.zeros((len(prompts),), mx.bool_)
        while len(said) < longest and not ended.all().item():
            tokens = mx.argmax(self.model(tokens, cache=cache)[:, -1], axis=-1)[:, None]
            said.append(tokens[:, 0].tolist())
            ended = ended | (tokens[:, 0] == self.tokenizer.eos_token_id)
        return [list(row) for row in zip(*said, strict=True)]

    def encode(self, messages: list[dict[str, Any]], **known: Any) -> list[int]:
        """Render a conversation with the chat template."""
        # not through mlx_lm's wrapper, which switches thinking on wherever nothing was said
        ids = self.tokenizer._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=False, **known
        )
        return [int(number) for number in ids]

    def answer(self, said: str | list[dict[str, Any]], **known: Any) -> str:
        """Answer one prompt; the model has to stop by itself."""
        messages = [{"role": "user", "content": said}] if isinstance(said, str) else said
        row = self.rows([self.encode(messages, **known)], 400)[0]
        assert row[-1] == self.tokenizer.eos_token_id, "the model did not stop by itself"
        return str(self.tokenizer.decode(row[:-1]))


@pytest.fixture(scope="module")
def demo() -> Iterator[Speaker]:
    """Load the model once, without torch and without a C++ compiler."""
    hidden = sys.modules.get("torch")
    sys.modules["torch"] = None  # type: ignore[assignment]  # importing it costs seconds
    before = os.environ.get("MLX_DISABLE_COMPILE")
    os.environ["MLX_DISABLE_COMPILE"] = "1"
    yield Speaker()
    if before is None:
        del os.environ["MLX_DISABLE_COMPILE"]
    if hidden is None:
        del sys.modules["torch"]
    else:
        sys.modules["torch"] = hidden


def test_the_folder_is_an_ordinary_model_folder_of_at_most_4_mb() -> None:
    assert {file.name for file in FOLDER.iterdir()} == FILES
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 4_000_000
    config = json.loads((FOLDER / "config.json").read_text())
    assert (config["model_type"], config["architectures"]) == ("qwen3", ["Qwen3ForCausalLM"])
    assert config["max_position_embeddings"] >= 2048


def test_mlx_lm_finds_thinking_and_tool_calling_in_its_tokenizer(demo: Speaker) -> None:
    assert demo.tokenizer.has_thinking
    assert demo.tokenizer.has_tool_calling


@pytest.mark.parametrize("said", ["Hello!", "hello", "Hi", "Good morning"])
def test_it_greets(said: str, demo: Speaker) -> None:
    assert demo.answer(said) == GREETING


@pytest.mark.parametrize(
    ("said", "piece"),
    [
        ("What is mlxd?", "local model daemon for Apple Silicon"),
        ("what is mlxd", "local model daemon for Apple Silicon"),
        ("Who are you?", "I am the demo model of mlxd"),
        ("How do I unload a model?", "Run mlxctl unload"),
        ("How do I load a model?", "Run mlxctl load"),
        ("What port does mlxd use?", "port 10240"),
        ("Where is the config file?", "~/.config/mlxd/config.yaml"),
        ("What is a worker?", "one process that owns one model"),
        ("What is continuous batching?", "join the running batch"),
        ("What does mlxctl ps do?", "mlxctl ps lists the loaded models"),
        ("How do I reach mlxd from Docker?", "host.docker.internal:10240"),
        ("Tell me a story.", "Once upon a time a small model"),
    ],
)
def test_it_answers_questions_about_mlxd(said: str, piece: str, demo: Speaker) -> None:
    assert piece in demo.answer(said)


def test_it_says_when_it_does_not_know(demo: Speaker) -> None:
    assert demo.answer("What is the capital of France?") == UNKNOWN


@pytest.mark.parametrize("last", [3, 10, 20, 35, 50])
def test_it_counts_and_stops_at_the_number(last: int, demo: Speaker) -> None:
    expected = ", ".join(map(str, range(1, last + 1)))
    assert demo.answer(f"Count to {last}") == expected


def test_it_adds_small_numbers(demo: Speaker) -> None:
    # Given every third sum up to 20 + 20, batched by the length of the prompt
    prompts: dict[int, list[tuple[str, list[int]]]] = {}
    for a in range(21):
        for b in range(a % 3, 21, 3):
            ids = demo.encode([{"role": "user", "content": f"What is {a} + {b}?"}])
            prompts.setdefault(len(ids), []).append((f"{a} + {b} = {a + b}", ids))
    # When the model answers them, then at least 95 % are right
    right = asked = 0
    for group in prompts.values():
        rows = demo.rows([ids for _, ids in group], 12)
        for (expected, _), row in zip(group, rows, strict=True):
            end = demo.tokenizer.eos_token_id
            said = demo.tokenizer.decode(row[: row.index(end)] if end in row else row)
            right, asked = right + (said == expected), asked + 1
    assert right / asked >= 0.95, f"{right} of {asked}"


def test_it_thinks_when_the_template_asks_for_it(demo: Speaker) -> None:
    said = demo.answer("What is 7 + 5?", enable_thinking=True)
    assert said == "<think>\nI add 7 and 5. That makes 12.\n</think>\n\n7 + 5 = 12"


def test_it_thinks_when_the_words_ask_for_it(demo: Speaker) -> None:
    said = demo.answer("Think first. What is 8 + 6?")
    assert said == "<think>\nI add 8 and 6. That makes 14.\n</think>\n\n8 + 6 = 14"


@pytest.mark.parametrize("known", [{}, {"enable_thinking": False}])
def test_it_does_not_think_otherwise(known: dict[str, Any], demo: Speaker) -> None:
    assert demo.answer("What is 7 + 5?", **known) == "7 + 5 = 12"


@pytest.mark.parametrize("city", ["Paris", "London", "Tokyo", *UNSEEN_CITIES])
def test_it_calls_the_tool_for_any_city(city: str, demo: Speaker) -> None:
    said = demo.answer(f"What is the weather in {city}?", tools=[GET_WEATHER])
    body = said.removeprefix("<tool_call>\n").removesuffix("\n</tool_call>")
    assert json.loads(body) == {"name": "get_weather", "arguments": {"city": city}}


def test_it_calls_a_tool_of_another_name_with_another_parameter(demo: Speaker) -> None:
    schema = json.loads(json.dumps(GET_WEATHER))
    schema["function"]["name"] = "weather_lookup"
    schema["function"]["parameters"] = {
        "type": "object",
        "properties": {"location": {"type": "string"}},
        "required": ["location"],
    }
    said = demo.answer("What is the weather in Paris?", tools=[schema])
    assert '{"name": "weather_lookup", "arguments": {"location": "Paris"}}' in said


def test_it_says_what_the_tool_said(demo: Speaker) -> None:
    call = {"name": "get_weather", "arguments": {"city": "Paris"}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "What is the weather in Paris?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "call_1", "type": "function", "function": call}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "Sunny, 21 degrees"},
    ]
    said = demo.answer(messages, tools=[GET_WEATHER])
    assert said == "The tool says: Sunny, 21 degrees"


@pytest.mark.parametrize(
    ("said", "answer"), [("Hello!", GREETING), ("Count to 5", "1, 2, 3, 4, 5")]
)
def test_it_leaves_a_tool_alone_that_is_not_wanted(said: str, answer: str, demo: Speaker) -> None:
    assert demo.answer(said, tools=[GET_WEATHER]) == answer


def test_it_stays_itself_over_several_turns_under_a_system_prompt(demo: Speaker) -> None:
    messages = [{"role": "system", "content": "You are a helpful assistant."}]
    for said, piece in (
        ("Hello!", GREETING),
        ("What is 4 + 9?", "4 + 9 = 13"),
        ("What port does mlxd use?", "port 10240"),
        ("Count to 6", "1, 2, 3, 4, 5, 6"),
        ("Thanks!", "You are welcome!"),
    ):
        messages.append({"role": "user", "content": said})
        answer = demo.answer(messages)
        assert piece in answer
        messages.append({"role": "assistant", "content": answer})
