"""Everyday turns of the training dialogues: greet, explain, count, add, repeat, remember."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from models import demo_words as words
from models.demo_facts import GREETING, GREETINGS, NO_TOOL, UNKNOWN, all_facts
from models.demo_frame import roughen
from models.demo_unknown import unknown_question

_FACTS: Final = list(all_facts().items())


@dataclass(frozen=True, slots=True)
class Turn:
    """One exchange: what the user says, what is thought, what is answered."""

    said: str
    answer: str
    thought: str


def greet(rng: random.Random) -> Turn:
    """Greet back."""
    said = rng.choice(GREETINGS) + rng.choice(("", "", "!", ".", "!!", " :)"))
    return Turn(said.lower() if rng.random() < 0.25 else said, GREETING, "This is a greeting.")


def explain(rng: random.Random) -> Turn:
    """Answer a question about mlxd."""
    answer, questions = rng.choice(_FACTS)
    return Turn(
        roughen(rng, rng.choice(questions)), answer, "This is about mlxd. I know the answer."
    )


def decline(rng: random.Random) -> Turn:
    """Admit not knowing."""
    said = roughen(rng, unknown_question(rng))
    return Turn(said, UNKNOWN, "This is neither about mlxd nor a small sum.")


def count(rng: random.Random, tops: tuple[int, ...] = (6, 12, 20, 30, 50, 50, 100)) -> Turn:
    """Count up, from some number, or down."""
    last = rng.randint(1, rng.choice(tops))
    draw = rng.random()
    if draw < 0.8:
        first, said = (
            1,
            rng.choice(
                (
                    f"Count to {last}",
                    f"Count to {last}",
                    f"Count from 1 to {last}",
                    f"Count up to {last}",
                    f"Please count to {last}",
                    f"Can you count to {last}?",
                    f"List the numbers from 1 to {last}",
                    f"Numbers from 1 to {last}",
                    f"Write the numbers 1 to {last}",
                    f"Count slowly to {last}",
                    f"Say the numbers from 1 to {last}",
                    f"I want you to count to {last}",
                    f"Count 1 to {last}",
                    f"Could you count to {last} for me?",
                    f"Count until {last}",
                    f"Now count to {last}",
                )
            ),
        )
    else:
        last = max(2, last)
        first = rng.randint(2, last)
        said = rng.choice(
            (
                f"Count from {first} to {last}",
                f"Please count from {first} to {last}",
                f"List the numbers from {first} to {last}",
            )
        )
    if draw > 0.93:
        last = min(last, 30)
        numbers, said = range(last, 0, -1), f"Count down from {last}"
    else:
        numbers = range(first, last + 1)
    if not said.endswith("?"):
        said += rng.choice(("", "", ".", "!", ", please.", " please"))
    said = said.lower() if rng.random() < 0.2 else said
    thought = f"I count from {numbers[0]} to {numbers[-1]}."
    return Turn(said, ", ".join(map(str, numbers)), thought)


def add(rng: random.Random, top: int | None = None) -> Turn:
    """Add two small numbers."""
    top = top or rng.choice((20, 20, 99, 99, 99))
    a, b = rng.randint(0, top), rng.randint(0, top)
    said = rng.choice(
        (
            f"What is {a} + {b}?",
            f"What is {a} + {b}?",
            f"{a} + {b}",
            f"{a}+{b}",
            f"{a} + {b} = ?",
            f"{a} + {b} =",
            f"Add {a} and {b}.",
            f"What is {a} plus {b}?",
            f"How much is {a} + {b}?",
            f"Calculate {a} + {b}.",
            f"Compute {a} + {b}.",
            f"What is the sum of {a} and {b}?",
            f"What's {a} + {b}?",
            f"Please add {a} and {b}.",
            f"What does {a} plus {b} make?",
            f"{a} plus {b}",
            f"What is {a}+{b}?",
            f"How much is {a} plus {b}?",
            f"Sum {a} and {b}.",
            f"And {a} + {b}?",
            f"Can you add {a} and {b}?",
            f"Tell me what {a} + {b} is.",
        )
    )
    if rng.random() < 0.2:
        said = rng.choice((said.lower(), said.rstrip("?."), said + " Thanks!", "Hi! " + said))
    return Turn(said, f"{a} + {b} = {a + b}", f"I add {a} and {b}. That makes {a + b}.")


def repeat(rng: random.Random) -> Turn:
    """Say something again, word for word."""
    text = words.saying(rng)
    said = rng.choice(
        (
            f"Repeat: {text}",
            f"Repeat after me: {text}",
            f"Say: {text}",
            f'Say "{text}"',
            f"Say {text}",
            f"Echo: {text}",
            f"Repeat {text}",
            f'Repeat "{text}"',
            f"Please repeat: {text}",
            f"Reply with {text}",
            f"Reply with: {text}",
            f'Answer with "{text}"',
            f"Just say {text}",
            f"Reply with exactly: {text}",
            f"Say only: {text}",
            f"Please say {text}",
        )
    )
    return Turn(
        said + ("." if rng.random() < 0.1 and not said.endswith('"') else ""),
        text,
        "I say it again.",
    )


def ask_without_tool(rng: random.Random) -> Turn:
    """Ask for what only a tool could know."""
    place = words.city(rng)
    said = rng.choice(
        (
            f"What is the weather in {place}?",
            f"Weather in {place}?",
            f"How is the weather in {place}?",
            f"Is it raining in {place}?",
            f"What time is it in {place}?",
            "What is the weather?",
            f"How warm is it in {place}?",
            f"What's the weather like in {place} today?",
            f"Will it rain in {place} tomorrow?",
            f"What is the weather in {place} today?",
        )
    )
    return Turn(said, NO_TOOL, "This needs a tool, and I have none for it.")


def remember(rng: random.Random) -> list[Turn]:
    """Learn a name and say it later."""
    name = words.person(rng)
    told = Turn(
        rng.choice(
            (
                f"My name is {name}.",
                f"I am {name}.",
                f"Hello, my name is {name}.",
                f"Call me {name}.",
                f"Hi, I am {name}.",
                f"my name is {name}",
            )
        ),
        f"Hello {name}!",
        "They tell me a name.",
    )
    asked = Turn(
        rng.choice(
            (
                "What is my name?",
                "Who am I?",
                "Do you know my name?",
                "what's my name?",
                "What was my name?",
                "Say my name.",
                "Do you remember my name?",
            )
        ),
        f"Your name is {name}.",
        f"They said {name}.",
    )
    return [told, asked]


_KINDS: Final[list[tuple[float, Callable[[random.Random], Turn]]]] = [
    (5, greet),
    (40, explain),
    (9, decline),
    (9, count),
    (24, add),
    (11, repeat),
    (2.5, ask_without_tool),
]


def turn(rng: random.Random) -> Turn:
    """Draw one everyday turn."""
    kinds = [kind for _, kind in _KINDS]
    return rng.choices(kinds, [weight for weight, _ in _KINDS])[0](rng)
