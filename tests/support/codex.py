"""Load the shapes of Codex's requests, written from its public sources and from what users report.

Nothing in them was recorded from a session; a `tools` that names a file stands for the list in that file.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parents[1] / "contract" / "fixtures" / "codex"
NAMES = sorted(path.stem for path in _FOLDER.glob("[0-9]*.json"))


@dataclass(frozen=True)
class Request:
    """Hold one request."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


def load(name: str, **changes: Any) -> Request:
    """Return the request of a fixture, its body with these changes."""
    found = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    body = found["body"]
    if isinstance(body.get("tools"), str):
        body["tools"] = json.loads((_FOLDER / body["tools"]).read_text(encoding="utf-8"))
    return Request(found["path"], found["headers"], body | changes)
