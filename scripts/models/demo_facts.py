"""What the demo model knows about mlxd: short answers, each with many ways to ask for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

UNKNOWN: Final = "I am a tiny demo model: I only know mlxd, counting and small sums."
NO_TOOL: Final = "I have no tool for that. Offer me one, and I will call it."
GREETING: Final = (
    "Hello! I am the demo model of mlxd. Ask me about mlxd, or ask me to count or to add."
)
GREETINGS: Final = (
    "Hello",
    "Hi",
    "Hey",
    "Good morning",
    "Good evening",
    "Good afternoon",
    "Hi there",
    "Hello there",
    "Hey there",
    "Hello, model",
    "Hello mlxd",
    "Hi, demo model",
    "Greetings",
    "Good day",
    "Hello again",
    "Hi all",
    "Yo",
    "Hello world",
)
# command -> what it does; `command_questions` makes the questions.
COMMANDS: Final[dict[str, str]] = {
    "init": "mlxctl init writes a commented config file.",
    "start": "mlxctl start starts the daemon in the background.",
    "stop": "mlxctl stop stops the daemon and all of its workers.",
    "restart": "mlxctl restart stops the daemon and starts it again.",
    "status": "mlxctl status says whether the daemon is running.",
    "ps": "mlxctl ps lists the loaded models with their workers and memory.",
    "load": "mlxctl load starts a worker for a model, so that its first answer comes at once.",
    "unload": "mlxctl unload stops the worker of a model and gives its memory back.",
    "list": "mlxctl list shows every model that mlxd can serve.",
    "show": "mlxctl show prints the details of one model.",
    "pull": "mlxctl pull downloads a model from the hub.",
    "rm": "mlxctl rm deletes a model from the local cache.",
    "chat": "mlxctl chat lets you talk to a model in the terminal.",
    "logs": "mlxctl logs prints the log of the daemon and its workers.",
    "events": "mlxctl events shows what the daemon does, as it happens.",
    "keys": "mlxctl keys adds, lists and removes API keys.",
    "bench": "mlxctl bench measures how fast a model answers.",
    "doctor": "mlxctl doctor checks the installation and says what is wrong.",
    "install": "mlxctl install registers mlxd with launchd, so that it starts at login.",
    "uninstall": "mlxctl uninstall removes mlxd from launchd.",
    "reload": "mlxctl reload reads the config file again.",
}
_TEXT: Final = Path(__file__).with_name("demo_facts.txt")


def command_questions(command: str) -> list[str]:
    """List the ways to ask what `mlxctl COMMAND` does."""
    name = f"mlxctl {command}"
    return [
        f"What does {name} do?",
        f"What is {name}?",
        f"Explain {name}.",
        f"Tell me about {name}.",
        f"What is {name} for?",
        f"{name}",
        f"{name}?",
        f"What does the command {name} do?",
        f"When do I use {name}?",
        f"What happens when I run {name}?",
        f"Describe {name}.",
        f"What does the {command} command do?",
        f"How does {name} work?",
        f"Why {name}?",
    ]


def all_facts() -> dict[str, list[str]]:
    """Map each answer to the ways to ask for it."""
    facts = dict(_written())
    return facts | {answer: command_questions(name) for name, answer in COMMANDS.items()}


def _written() -> Iterator[tuple[str, list[str]]]:
    for block in _TEXT.read_text(encoding="utf-8").split("\n= ")[1:]:
        answer, *questions = filter(None, block.split("\n"))
        yield answer.replace("\\n", "\n"), questions
