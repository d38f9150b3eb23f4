"""Purposes of tools: what they are called, what they take, and how people ask for them."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from models import demo_words as words

Draw = Callable[[random.Random], Any]


@dataclass(frozen=True, slots=True)
class Family:
    """Tools of one purpose: their names, parameters, descriptions and questions."""

    names: tuple[str, ...]
    parameters: tuple[tuple[tuple[str, ...], Draw], ...]
    descriptions: tuple[str, ...]
    questions: tuple[str, ...]
    results: tuple[str, ...] = ("done", "ok", "{word}", "{number}", '{{"status": "ok"}}')


WEATHER: Final = Family(
    ("get_weather",) * 12 + ("get_current_weather", "weather", "weather_lookup", "fetch_weather"),
    ((("city",) * 6 + ("location",) * 3 + ("place", "town"), words.city),),
    (
        "Get the weather of a city.",
        "Get the weather",
        "Get the current weather in a given city",
        "weather of a city",
        "Returns the weather for a city.",
        "Get current weather for a location.",
        "The weather in a city",
        "Look up the weather",
    ),
    (
        "What is the weather in {0}?",
        "What is the weather in {0}?",
        "Weather in {0}?",
        "weather in {0}",
        "How is the weather in {0}?",
        "How is the weather in {0} today?",
        "Tell me the weather in {0}.",
        "What's the weather in {0}?",
        "What's the weather like in {0}?",
        "Is it raining in {0}?",
        "What is the weather like in {0} today?",
        "How warm is it in {0}?",
        "Get the weather in {0}.",
        "What is the temperature in {0}?",
        "Do I need an umbrella in {0}?",
        "Will it rain in {0}?",
        "Please look up the weather in {0}.",
        "What is the weather in {0} right now?",
        "Is it cold in {0}?",
        "I am in {0}. What is the weather?",
        "Use the tool to get the weather in {0}.",
        "Check the weather for {0}.",
        "what's the weather for {0}?",
        "And in {0}?",
        "What about {0}?",
    ),
    (
        "sunny, {number} degrees",
        "Sunny",
        "rain",
        "{number} C and cloudy",
        "cloudy",
        "Rainy, {number} C",
        '{{"temperature": {number}}}',
        '{{"temperature": {number}, "condition": "{word}"}}',
        "{number}",
        "It is {number} degrees.",
        "Sunny, {number}C",
        '{{"temp": {number}, "sky": "{word}"}}',
    ),
)

FAMILIES: Final = (
    Family(
        ("get_time", "current_time", "get_local_time"),
        ((("city", "location", "timezone"), words.city),),
        ("Get the local time.", "Time in a city", "Returns the current time in a city."),
        (
            "What time is it in {0}?",
            "Tell me the time in {0}.",
            "What is the local time in {0}?",
            "time in {0}?",
            "How late is it in {0}?",
        ),
        ("{number}:{number}", "noon", "12:30"),
    ),
    Family(
        ("get_user", "find_user", "lookup_user", "find_person", "get_contact"),
        ((("name", "user", "person", "username"), words.person),),
        ("Find a user by name.", "Look up a person", "Returns the user with that name."),
        (
            "Find the user {0}.",
            "Look up {0}.",
            "Who is {0}?",
            "Get the user {0}.",
            "Find {0}.",
            "What do we know about {0}?",
            "Do you know {0}?",
        ),
        ("{word}", '{{"id": {number}}}'),
    ),
    Family(
        ("get_stock_price", "stock_price", "get_quote"),
        ((("symbol", "ticker"), words.symbol),),
        ("Get the price of a stock.", "Current stock price"),
        (
            "What is the price of {0}?",
            "Stock price of {0}?",
            "How much is {0}?",
            "Quote {0}.",
            "What does {0} cost?",
        ),
        ("{number}", "{number} dollars"),
    ),
    Family(
        ("set_timer", "start_timer", "set_alarm"),
        ((("minutes", "duration"), words.number),),
        ("Set a timer.", "Start a timer for some minutes"),
        (
            "Set a timer for {0} minutes.",
            "Timer for {0} minutes",
            "Wake me in {0} minutes.",
            "Start a timer of {0} minutes please.",
        ),
    ),
    Family(
        ("add", "add_numbers", "sum", "calculator"),
        ((("a", "x", "first"), words.number), (("b", "y", "second"), words.number)),
        ("Add two numbers.", "Adds two integers", "Sum of two numbers"),
        (
            "Add {0} and {1}.",
            "What is {0} + {1}?",
            "What is {0} plus {1}?",
            "Use the tool to add {0} and {1}.",
            "Calculate {0} + {1}.",
        ),
        ("{number}",),
    ),
    Family(
        ("send_message", "send_mail", "notify"),
        ((("to", "recipient", "user"), words.person), (("text", "message", "body"), words.phrase)),
        ("Send a message.", "Send a text to a person"),
        ("Tell {0}: {1}", "Send {0} the message: {1}", "Message {0}: {1}", 'Write to {0}: "{1}"'),
    ),
    Family(
        ("translate", "translate_text"),
        (
            (("text", "word"), words.word),
            (("language", "target"), lambda r: r.choice(words.LANGUAGES)),
        ),
        ("Translate a text.", "Translates a word into a language"),
        (
            "Translate {0} into {1}.",
            "Translate {0} to {1}.",
            "What is {0} in {1}?",
            'Translate "{0}" into {1}.',
        ),
        ("{word}",),
    ),
    Family(
        ("search", "web_search", "search_web", "find_documents"),
        ((("query", "q", "text"), words.phrase),),
        ("Search the web.", "Find documents", "Search for a text"),
        (
            "Search for {0}",
            "Search the web for {0}",
            "Look for {0}",
            "Find {0}",
            'Search for "{0}".',
        ),
    ),
    Family(
        ("read_file", "open_file", "cat"),
        ((("path", "file", "filename"), words.file_name),),
        ("Read a file.", "Returns the content of a file"),
        ("Read the file {0}", "Open {0}", "What is in {0}?", "Show me {0}", "Read {0}"),
    ),
    Family(
        ("get_date", "list_files", "get_status", "ping", "get_random_number"),
        (),
        ("Get the value.", "Needs nothing.", "Call it without arguments."),
        ("What is the date?", "Call the tool.", "Use the tool.", "Use your tool, please."),
    ),
)


def generic(rng: random.Random) -> Family:
    """Make up a tool that no other dialogue has."""
    draws: list[Draw] = [
        words.title,
        words.city,
        words.word,
        words.number,
        words.symbol,
        words.person,
        words.title,
        words.phrase,
    ]
    picked = [rng.choice(draws) for _ in range(rng.choice((1, 1, 1, 2)))]
    nouns = rng.sample(words.NOUNS, len(picked))
    names = [noun if rng.random() < 0.8 else words.invented(rng, 2) for noun in nouns]
    name = words.function_name(rng)
    first, *rest = names
    listed = f"{first} {{0}}" + "".join(f" and {other} {{1}}" for other in rest)
    bare = "{0}" + (" and {1}" if rest else "")
    spoken = name.replace("_", " ")
    return Family(
        (name,),
        tuple(((param,), draw) for param, draw in zip(names, picked, strict=True)),
        (f"{spoken.capitalize()}.", words.phrase(rng, 6).capitalize(), f"A tool for {spoken}", ""),
        (
            f"Call {name} with {listed}",
            f"Use {name} with {listed}",
            f"Call {name} with {bare}",
            f"Use {name} for {bare}",
            f"Please {spoken}: {listed}",
            f"Run {name} on {bare}",
            f"{spoken.capitalize()} {bare}",
            f"Use the tool with {listed}",
        ),
    )
