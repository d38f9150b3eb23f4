"""No body makes the peek fail in a way that is not the caller's."""

import contextlib
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mlxd.protocol.errors import InvalidRequest
from mlxd.protocol.peek import peek

ANY_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        peek(body)


@given(
    st.dictionaries(st.text() | st.sampled_from(["model", "stream", "keep_alive"]), ANY_JSON),
)
def test_any_object_is_read_or_refused(body: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidRequest):
        found = peek(json.dumps(body).encode())
        assert found.model == body["model"]


@given(st.text(min_size=1), st.booleans(), st.dictionaries(st.text(), ANY_JSON))
def test_the_fields_are_found_wherever_they_stand(
    model: str, stream: bool, rest: dict[str, Any]
) -> None:
    body = {**rest, "model": model, "stream": stream}
    body.pop("keep_alive", None)
    found = peek(json.dumps(body, ensure_ascii=False).encode())
    assert found.stream is stream
    assert found.model == model
