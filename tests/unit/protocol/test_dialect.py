"""A path tells which dialect its client speaks."""

import pytest

from mlxd.protocol.dialect import Dialect, of_path


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/chat/completions", Dialect.OPENAI), ("/v1/models", Dialect.OPENAI), ("/health", Dialect.OPENAI),
        ("/", Dialect.OPENAI), ("/v1/responses", Dialect.RESPONSES), ("/v1/responses/r1/cancel", Dialect.RESPONSES),
        ("/v1/responsesx", Dialect.OPENAI), ("/v1/messages", Dialect.ANTHROPIC),
        ("/v1/messages/count_tokens", Dialect.ANTHROPIC), ("/v1/messagesx", Dialect.OPENAI),
        ("/anthropic/v1/models", Dialect.ANTHROPIC), ("/api/chat", Dialect.OLLAMA), ("/apis", Dialect.OPENAI),
    ],
)  # fmt: skip
def test_a_path_has_its_dialect(path: str, dialect: Dialect) -> None:
    assert of_path(path) is dialect
