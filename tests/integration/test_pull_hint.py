"""A name that a repository of the hub could have is answered with how to get it, and never with a download."""

from typing import Any

import pytest
from support.front import running_front

REPO = "mlx-community/Nobody-Has-This-4bit"
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": []},
    "/v1/completions": {"prompt": "Hi"},
    "/v1/responses": {"input": "Hi"},
    "/v1/embeddings": {"input": "Hi"},
    "/v1/messages": {"messages": [], "max_tokens": 1},
    "/v1/messages/count_tokens": {"messages": []},
    "/anthropic/v1/messages": {"messages": [], "max_tokens": 1},
    "/api/chat": {"messages": []},
    "/api/generate": {"prompt": "Hi"},
    "/api/show": {},
    "/v1/models/load": {},
}


CASES = [(path, "") for path in ASKED]
CASES += [(path, ":latest") for path in ASKED if path.startswith("/api/")]


@pytest.mark.parametrize(("path", "suffix"), CASES)
async def test_every_dialect_names_the_command_and_starts_nothing(path: str, suffix: str) -> None:
    async with running_front() as front:
        response = await front.client.post(path, json={"model": REPO + suffix, **ASKED[path]})
        unfinished = await front.client.get("/v1/downloads")
        assert (front.pool.asked, front.pool.loads) == ([], [])
    error = response.json()["error"]
    message = error if isinstance(error, str) else error["message"]
    assert response.status_code == 404
    assert f"`mlxctl pull {REPO}`" in message
    assert not any(half["running"] for half in unfinished.json()["data"])
