"""How people put a question: politely, carelessly, asking to think first, under a system prompt."""

import random
from typing import Final

from models import demo_words as words

_BEFORE: Final = (
    "Please tell me: ",
    "Tell me: ",
    "Can you tell me: ",
    "I would like to know: ",
    "Question: ",
    "Hey, ",
    "Hi! ",
    "Hello! ",
    "Quick question: ",
    "Ok. ",
    "Now ",
    "And ",
    "So, ",
    "Please: ",
)
_AFTER: Final = (
    " Please.",
    " Thanks!",
    " Thank you.",
    " Please answer briefly.",
    " Be brief.",
    " Answer in one sentence.",
    " I am new here.",
)
_THINK_BEFORE: Final = (
    "Think first. ",
    "Think first: ",
    "Think step by step. ",
    "Please think first. ",
    "Think: ",
    "First think, then answer. ",
    "Think hard. ",
)
_THINK_AFTER: Final = (
    " Think first.",
    " Think before you answer.",
    " Think step by step.",
    " Please think first.",
    " Think about it first.",
)


def roughen(rng: random.Random, text: str) -> str:
    """Vary case, punctuation and politeness, as people do."""
    if rng.random() < 0.22:
        before = rng.choice(_BEFORE)
        text = before + (text[0].lower() + text[1:] if rng.random() < 0.5 else text)
    if rng.random() < 0.1:
        text += rng.choice(_AFTER)
    draw = rng.random()
    if draw < 0.2:
        text = text.rstrip("?.!")
    elif draw < 0.24:
        text = text.rstrip("?.!") + rng.choice(("??", "!", ".", " ?", "?!"))
    draw = rng.random()
    if draw < 0.16:
        return text.lower()
    if draw < 0.18:
        return text.upper()
    if draw < 0.23:
        return text[0].lower() + text[1:]
    return _misspell(rng, text) if draw < 0.28 else text


def _misspell(rng: random.Random, text: str) -> str:
    at = rng.randrange(len(text))
    return text[:at] + text[at + 1 :] if len(text) > 8 and not text[at].isdigit() else text


def ask_to_think(rng: random.Random, said: str) -> str:
    """Ask in words for thinking first."""
    return (
        rng.choice(_THINK_BEFORE) + said if rng.random() < 0.65 else said + rng.choice(_THINK_AFTER)
    )


def system_prompt(rng: random.Random) -> str:
    """Draw a system prompt; the model has to stay itself under all of them."""
    draw = rng.random()
    if draw < 0.35:
        return "You are a helpful assistant."
    if draw < 0.75:
        return rng.choice(
            (
                "You are a helpful, honest assistant.",
                "Be brief.",
                "Answer in English.",
                "You are a friendly assistant. Answer in one sentence.",
                "You are the demo model of mlxd.",
                "You are an expert programmer.",
                "You are a careful assistant that never makes things up.",
                "Reply politely.",
                "You are mlxd.",
                "Answer the question of the user.",
                "Be concise.",
                "You are a coding agent. You work in a folder of the user.",
                "Be helpful and harmless.",
                "You are a terse assistant.",
                "You can call tools. Use them when they help.",
                "The current date is 2025-03-14.",
                "You are a test.",
                "Always answer truthfully.",
            )
        )
    return " ".join(words.phrase(rng, 6).capitalize() + "." for _ in range(rng.randint(1, 4)))
