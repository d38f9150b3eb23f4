"""Questions for the demo model that its training text does not contain, with the right answers."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from models import demo_talk, demo_tools
from models.demo_dialogs import Dialog
from models.demo_facts import COMMANDS, GREETING, NO_TOOL, UNKNOWN, all_facts
from models.demo_families import FAMILIES, WEATHER, generic

CITIES: Final = """
Reykjavik Trondheim Bergen Lausanne Bern Bordeaux Toulouse Nantes Rennes Ghent Utrecht Eindhoven
Aarhus Malmo Gothenburg Tampere Turku Kaunas Lodz Poznan Brno Bratislava Ljubljana Sarajevo Skopje
Tirana Izmir Beirut Amman Riyadh Muscat Karachi Lahore Dhaka Colombo Kathmandu Yangon Vientiane
Busan Taipei Nagasaki Fukuoka Adelaide Hobart Christchurch Anchorage Phoenix Memphis Nashville
Orlando Tampa Buffalo Pittsburgh Quebec Winnipeg Guadalajara Caracas Medellin Asuncion Cordoba
""".split()
GET_WEATHER: Final[dict[str, Any]] = {
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
# A piece of the right answer -> new ways to ask.
_NEW_QUESTIONS: Final[dict[str, tuple[str, ...]]] = {
    "mlxd is a local model daemon": ("So what exactly is mlxd?", "Could you explain mlxd to me?"),
    "I am the demo model": ("who are you???", "Hi, who are you?", "Please introduce yourself"),
    "Run mlxctl unload": ("How do I unload a model again?", "How do I unload the model?"),
    "Run mlxctl load with": ("How do I load the model?", "How can I load models?"),
    "port 10240": ("What port does mlxd listen on?", "Which port is mlxd using?"),
    "~/.config/mlxd": ("Where is the config file of mlxd?", "where's the config file?"),
    "A worker is one process": ("So what is a worker?", "Please explain workers"),
    "New requests join": ("Explain continuous batching.", "What is continuous batching, please?"),
    "after 10 minutes": ("When does an idle model unload?", "What's the idle timeout?"),
    "host.docker.internal": ("How do I reach mlxd from a docker container?",),
    "Run mlxctl ps.": ("How can I see which models are loaded?", "Which models are loaded now?"),
    "Run mlxctl start.": ("How do I start the mlxd daemon?", "how do i start mlxd please"),
    "Run mlxctl stop.": ("How do I stop the mlxd daemon?", "how can I stop mlxd?"),
    "OpenAI API": ("Is the OpenAI API supported?", "Does mlxd work with the OpenAI client?"),
    "the supervisor owns": ("What does a supervisor do?", "what's the supervisor?"),
    "another name": ("What's an alias?", "How do I define an alias?"),
    "Once upon a time": ("Please tell me a story.", "Tell me a nice story."),
    "You are welcome": ("Thanks!", "thank you", "Many thanks!"),
}
_NEW_UNKNOWNS: Final = (
    "What is the capital of Spain?",
    "Who painted the Mona Lisa?",
    "What is 12 times 4?",
    "How do I bake a cake?",
    "Write a haiku about mountains.",
    "What is your opinion on politics?",
    "Explain black holes.",
    "Who was Napoleon?",
)


@dataclass(frozen=True, slots=True)
class Question:
    """A dialogue and the reply that is right: the whole of it, or a piece where `whole` is false."""

    subject: str
    dialog: Dialog
    whole: bool = True

    def is_right(self, reply: str) -> bool:
        """Say whether a reply is right."""
        expected = self.dialog.reply
        return reply == expected if self.whole else expected.lower() in reply.lower()


def _ask(subject: str, said: str, reply: str, *, whole: bool = True, **more: Any) -> Question:
    return Question(subject, Dialog([{"role": "user", "content": said}], reply, **more), whole)


def questions() -> Iterator[Question]:
    """Give the whole exam."""
    yield from _facts()
    yield from _numbers()
    yield from _thoughts()
    yield from _weather()
    yield from _other_tools()
    yield from _conversations()


def _facts() -> Iterator[Question]:
    for answer, known in all_facts().items():
        for said in (known[0], known[1].lower(), known[2].rstrip("?.")):
            yield _ask("facts", said, answer)
    for piece, asked in _NEW_QUESTIONS.items():
        for said in asked:
            yield _ask("facts, new words", said, piece, whole=False)
    for name, answer in COMMANDS.items():
        yield _ask("facts, new words", f"Please tell me what mlxctl {name} does.", answer)
    for said in ("Hello!", "hello", "Hi", "Hey there!", "Good morning", "HELLO", "Hi!"):
        yield _ask("greetings", said, GREETING)
    for said in _NEW_UNKNOWNS:
        yield _ask("unknown", said, UNKNOWN)
    yield _ask("unknown", "What is the weather in Paris?", NO_TOOL)


def _numbers() -> Iterator[Question]:
    for last in range(1, 51):
        reply = ", ".join(map(str, range(1, last + 1)))
        said = ("Count to {}", "Count to {}.", "count to {}", "Count from 1 to {}.")[last % 4]
        yield _ask("counting", said.format(last), reply)
    for a in range(21):
        for b in range(a % 2, 21, 2):
            yield _ask("sums to 20 + 20", f"What is {a} + {b}?", f"{a} + {b} = {a + b}")
    rng = random.Random(99)
    for _ in range(100):
        a, b = rng.randint(0, 99), rng.randint(0, 99)
        yield _ask("sums to 99 + 99", f"What is {a} + {b}?", f"{a} + {b} = {a + b}")
    rng = random.Random(77)
    for _ in range(40):
        turn = demo_talk.repeat(rng)
        yield _ask("repeating", turn.said, turn.answer)


def _thoughts() -> Iterator[Question]:
    rng = random.Random(55)
    for at in range(40):
        turn = (demo_talk.add, demo_talk.explain, demo_talk.count, demo_talk.greet)[at % 4](rng)
        reply = f"<think>\n{turn.thought}\n</think>\n\n{turn.answer}"
        yield _ask("thinking", turn.said, reply, enable_thinking=True)
        yield _ask("thinking", f"Think first. {turn.said}", reply)
        yield _ask("not thinking", turn.said, turn.answer, enable_thinking=False)


def _weather() -> Iterator[Question]:
    for at, city in enumerate(CITIES + ["Paris", "London", "Tokyo", "New York", "San Francisco"]):
        said = (
            "What is the weather in {}?",
            "What's the weather like in {} today?",
            "Weather in {}",
        )[at % 3]
        reply = demo_tools.call_text("get_weather", {"city": city})
        yield _ask("weather calls", said.format(city), reply, tools=[GET_WEATHER])
    for said, reply in (
        ("Hello!", GREETING),
        ("What is mlxd?", next(iter(all_facts()))),
        ("What is 2 + 2?", "2 + 2 = 4"),
        ("Count to 5", "1, 2, 3, 4, 5"),
        ("Who are you?", "I am the demo model of mlxd, a tiny model that ships with it."),
        ("How do I unload a model?", "Run mlxctl unload"),
        ("Thanks!", "You are welcome!"),
    ):
        yield _ask("tools not wanted", said, reply, whole=False, tools=[GET_WEATHER])


def _other_tools() -> Iterator[Question]:
    rng = random.Random(33)
    for at in range(60):
        family = generic(rng) if at % 2 else rng.choice(FAMILIES)
        tool = demo_tools.tool(rng, family)
        asked = tool.ask(rng)
        offered = [tool.schema, demo_tools.tool(rng, WEATHER).schema][: 1 + at % 3 % 2]
        reply = demo_tools.call_text(tool.name, asked.arguments)
        yield _ask("other tools", asked.question, reply, tools=offered)
    for _ in range(30):
        tool = demo_tools.tool(rng, WEATHER)
        asked = tool.ask(rng)
        call = {"type": "function", "function": {"name": tool.name, "arguments": asked.arguments}}
        messages: list[dict[str, Any]] = [
            {"role": "user", "content": asked.question},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": asked.result},
        ]
        spoken = Dialog(messages, f"The tool says: {asked.result}", [tool.schema])
        yield Question("tool results", spoken)


def _conversations() -> Iterator[Question]:
    rng = random.Random(11)
    for at in range(40):
        turns = [demo_talk.turn(rng) for _ in range(2 + at % 4)]
        if at % 5 == 0:
            told, asked = demo_talk.remember(rng)
            turns = [told, *turns, asked]
        messages: list[dict[str, Any]] = []
        if at % 2:
            messages.append({"role": "system", "content": "You are a helpful assistant."})
        for turn in turns[:-1]:
            messages.append({"role": "user", "content": turn.said})
            messages.append({"role": "assistant", "content": turn.answer})
        messages.append({"role": "user", "content": turns[-1].said})
        yield Question("conversations", Dialog(messages, turns[-1].answer))
