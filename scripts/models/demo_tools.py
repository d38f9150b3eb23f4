"""Tools offered in the training dialogues, the questions that want them, and the calls."""

import json
import random
from dataclasses import dataclass
from typing import Any, Final

from models import demo_words as words
from models.demo_families import FAMILIES, WEATHER, Family, generic

_DESCRIPTIONS: Final = ("", "The {0}", "the {0}", "The {0} to use", "Name of the {0}", "{0}")


@dataclass(frozen=True, slots=True)
class Ask:
    """A question for a tool, the arguments that answer it, and what the tool returns."""

    question: str
    arguments: dict[str, Any]
    result: str


@dataclass(frozen=True, slots=True)
class Tool:
    """One offered tool."""

    schema: dict[str, Any]
    name: str
    labels: tuple[str, ...]
    family: Family

    def ask(self, rng: random.Random) -> Ask:
        """Draw a question that wants this tool."""
        drawn = [draw(rng) for _, draw in self.family.parameters]
        question = rng.choice(self.family.questions).format(*drawn)
        result = rng.choice(self.family.results).format(
            word=words.word(rng), number=rng.randint(0, 40)
        )
        return Ask(_soften(rng, question), dict(zip(self.labels, drawn, strict=True)), result)

    def ask_twice(self, rng: random.Random) -> tuple[Ask, dict[str, Any]]:
        """Draw a question about two cities, which wants two calls."""
        one, two = words.city(rng), words.city(rng)
        question = rng.choice(
            (
                f"What is the weather in {one} and {two}?",
                f"Weather in {one} and in {two}?",
                f"Compare the weather in {one} and {two}.",
                f"What is the weather in {one} and in {two}?",
            )
        )
        return Ask(question, {self.labels[0]: one}, "ok"), {self.labels[0]: two}


def schema_of(
    rng: random.Random, name: str, description: str, properties: dict[str, Any], required: list[str]
) -> dict[str, Any]:
    """Write the JSON schema of a tool the way different clients do."""
    parameters: dict[str, Any] = {"type": "object", "properties": properties}
    if required or rng.random() < 0.5:
        parameters["required"] = required
    if rng.random() < 0.12:
        parameters["additionalProperties"] = False
    function: dict[str, Any] = {"name": name}
    if description and rng.random() < 0.85:
        function["description"] = description
    function["parameters"] = parameters
    if rng.random() < 0.06:
        function["strict"] = True
    return {"type": "function", "function": function}


def tool(rng: random.Random, family: Family | None = None) -> Tool:
    """Draw a tool: often the weather, else one of a known purpose, else one never seen before."""
    if family is None:
        draw = rng.random()
        family = WEATHER if draw < 0.45 else generic(rng) if draw < 0.75 else rng.choice(FAMILIES)
    name = rng.choice(family.names)
    properties: dict[str, Any] = {}
    for labels, draw_value in family.parameters:
        label = rng.choice(labels)
        counted = isinstance(draw_value(rng), int)
        kind = {"type": rng.choice(("integer", "integer", "number")) if counted else "string"}
        if rng.random() < 0.3:
            kind["description"] = rng.choice(_DESCRIPTIONS).format(label)
        properties[label] = kind
    required = list(properties)
    if family is WEATHER and rng.random() < 0.12:
        properties["unit"] = {"type": "string", "enum": ["celsius", "fahrenheit"]}
    schema = schema_of(rng, name, rng.choice(family.descriptions), properties, required)
    return Tool(schema, name, tuple(required), family)


def _soften(rng: random.Random, question: str) -> str:
    if rng.random() < 0.12:
        question = rng.choice(("Please: ", "Hi! ", "Hello, ", "Hey, ", "Now: ", "Ok. ")) + question
    if rng.random() < 0.08 and question.endswith(("?", ".")):
        question += rng.choice(
            (" Thanks!", " Use the tool.", " Please use the tool.", " Thank you.")
        )
    return question.rstrip("?.") if rng.random() < 0.12 else question


def call_text(name: str, arguments: dict[str, Any]) -> str:
    """Write one call as the chat template does."""
    body = f'{{"name": "{name}", "arguments": {json.dumps(arguments, ensure_ascii=False)}}}'
    return f"<tool_call>\n{body}\n</tool_call>"
