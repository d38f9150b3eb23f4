"""Put what an input refers to into the input itself: earlier responses, conversations, single items.

A worker knows nothing but what it is sent. This is the only place where the supervisor changes a body.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from mlxd.protocol.errors import InvalidRequest, ObjectNotFound, PreviousResponseNotFound
from mlxd.protocol.openai_responses import ResponsesRequest
from mlxd.supervisor.responses.items import own_items
from mlxd.supervisor.responses.store import ResponseStore

_REFERENCE = b'"item_reference"'
_LONGEST_ID = 64
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Reference(msgspec.Struct, frozen=True):
    type: object = None
    id: object = None


@dataclass(frozen=True, slots=True)
class Resolved:
    """Hold a body without references, and the items that its request added to the context."""

    body: bytes
    own: Sequence[bytes]


async def resolve(store: ResponseStore, body: bytes, request: ResponsesRequest) -> Resolved:
    """Return the body to send to a worker; raises CallerError for an id under which nothing is stored."""
    own = own_items(request.input)
    history = await _history(store, request)
    has_references = _REFERENCE in bytes(request.input)
    if has_references:
        own = [await _item(store, item, f"input[{at}]") for at, item in enumerate(own)]
    if history is None and not has_references:
        return Resolved(body, own)
    return Resolved(changed(body, input=_array([*(history or ()), *own])), own)


def changed(body: bytes, **members: bytes) -> bytes:
    """Return a JSON object with some members replaced by other JSON."""
    found = _members.decode(body)
    return msgspec.json.encode(
        found | {name: msgspec.Raw(value) for name, value in members.items()}
    )


def _array(items: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(items) + b"]"


async def _history(store: ResponseStore, request: ResponsesRequest) -> list[bytes] | None:
    """Return the items that come before the input; None where the request follows nothing."""
    previous, conversation = request.previous_response_id, request.conversation_id
    if previous is not None:
        found = await store.run(lambda db: db.context(previous))
        if found is None:
            field = "previous_response_id"
            raise PreviousResponseNotFound(
                f"Previous response with id {previous[:_LONGEST_ID]!r} not found.", field=field
            )
        if await store.run(lambda db: db.is_running(previous)):
            field = "previous_response_id"
            raise InvalidRequest(f"{field}: this response has not ended yet", field=field)
        return found
    if conversation is not None:
        found = await store.run(lambda db: db.conversation_items(conversation))
        if found is None:
            raise no_conversation(conversation, field="conversation")
        return found
    return None


def no_conversation(conversation_id: str, *, field: str | None = None) -> ObjectNotFound:
    """Return the error for an unknown conversation."""
    return ObjectNotFound(
        f"Conversation with id {conversation_id[:_LONGEST_ID]!r} not found.", field=field
    )


def no_response(response_id: str) -> ObjectNotFound:
    """Return the error for an unknown response."""
    return ObjectNotFound(f"Response with id {response_id[:_LONGEST_ID]!r} not found.")


async def _item(store: ResponseStore, item: bytes, path: str) -> bytes:
    """Return the item itself, or the one it refers to."""
    if _REFERENCE not in item:
        return item
    try:
        reference = msgspec.json.decode(item, type=_Reference)
    except (msgspec.MsgspecError, RecursionError):
        raise InvalidRequest(f"{path}: expected an item", field=path) from None
    if reference.type != "item_reference":
        return item  # words that somebody said
    item_id = reference.id
    if not isinstance(item_id, str):
        raise InvalidRequest(f"{path}.id: required and missing", field=f"{path}.id")
    found = await store.run(lambda db: db.item(item_id))
    if found is None:
        message = f"Item with id {item_id[:_LONGEST_ID]!r} not found."
        raise ObjectNotFound(message, field=f"{path}.id")
    return found
