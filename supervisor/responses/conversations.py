"""Serve conversations: named lists of items that responses are made from and add to."""

import time
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlxd.config.settings import Settings
from mlxd.protocol import request_body
from mlxd.protocol.errors import InvalidRequest, ObjectNotFound
from mlxd.supervisor.front import body
from mlxd.supervisor.responses.context import no_conversation
from mlxd.supervisor.responses.items import kept, new_id
from mlxd.supervisor.responses.listing import page
from mlxd.supervisor.responses.store import ResponseStore

PATH = "/v1/conversations"
T = TypeVar("T")


class _Create(msgspec.Struct, frozen=True):
    items: list[msgspec.Raw] | None = None
    metadata: dict[str, str] | None = None


class _Update(msgspec.Struct, frozen=True):
    metadata: dict[str, str] | None = None


class _Add(msgspec.Struct, frozen=True):
    items: list[msgspec.Raw]


class _Conversation(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    object: str = "conversation"
    created_at: int
    metadata: dict[str, str]


class _Deleted(msgspec.Struct, frozen=True):
    id: str
    object: str = "conversation.deleted"
    deleted: bool = True


class _Named(msgspec.Struct, frozen=True):
    id: str


_nothing = request_body.Refused({})


@dataclass(frozen=True, slots=True, eq=False)
class Conversations:
    """Answer from the store."""

    settings: Settings
    store: ResponseStore

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = f"{PATH}/{{conversation_id}}"
        item = f"{one}/items/{{item_id}}"
        return [
            Route(PATH, self.create, methods=["POST"]),
            Route(one, self.retrieve, methods=["GET"]),
            Route(one, self.update, methods=["POST"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route(f"{one}/items", self.list_items, methods=["GET"]),
            Route(f"{one}/items", self.add_items, methods=["POST"]),
            Route(item, self.retrieve_item, methods=["GET"]),
            Route(item, self.delete_item, methods=["DELETE"]),
        ]

    async def create(self, request: Request) -> Response:
        """Begin a conversation, with or without items."""
        given = await self._read(request, _Create)
        if not self.store.keeps:
            raise InvalidRequest("nothing is stored here, responses.max_stored is 0")
        items = kept([bytes(item) for item in given.items or ()], "items")
        begun = _Conversation(
            id=new_id("conv"), created_at=int(time.time()), metadata=given.metadata or {}
        )
        content = msgspec.json.encode(begun)
        await self.store.run(lambda db: db.put_conversation(begun.id, content))
        await self.store.run(lambda db: db.append(begun.id, items))
        return _json(content)

    async def retrieve(self, request: Request) -> Response:
        """Return a conversation without its items."""
        return _json(await self._find(request))

    async def update(self, request: Request) -> Response:
        """Replace the metadata."""
        given = await self._read(request, _Update)
        found = msgspec.json.decode(await self._find(request), type=_Conversation)
        changed = msgspec.structs.replace(found, metadata=given.metadata or {})
        content = msgspec.json.encode(changed)
        await self.store.run(lambda db: db.put_conversation(found.id, content))
        return _json(content)

    async def delete(self, request: Request) -> Response:
        """Forget a conversation with its items."""
        conversation_id = _id(request)
        if not await self.store.run(lambda db: db.delete_conversation(conversation_id)):
            raise no_conversation(conversation_id)
        return _json(msgspec.json.encode(_Deleted(conversation_id)))

    async def list_items(self, request: Request) -> Response:
        """List the items."""
        return _json(page(await self._items(request), request.query_params))

    async def add_items(self, request: Request) -> Response:
        """Add items at the end; returns them as they are kept."""
        given = await self._read(request, _Add)
        conversation_id = _id(request)
        items = kept([bytes(item) for item in given.items], "items")
        if not await self.store.run(lambda db: db.append(conversation_id, items)):
            raise no_conversation(conversation_id)
        return _json(page([item.body for item in items], {"order": "asc", "limit": "100"}))

    async def retrieve_item(self, request: Request) -> Response:
        """Return one item."""
        wanted = request.path_params["item_id"]
        for item in await self._items(request):
            if msgspec.json.decode(item, type=_Named).id == wanted:
                return _json(item)
        raise _no_item(wanted)

    async def delete_item(self, request: Request) -> Response:
        """Take an item out; returns the conversation."""
        found = await self._find(request)
        conversation_id, wanted = _id(request), request.path_params["item_id"]
        if not await self.store.run(lambda db: db.remove(conversation_id, wanted)):
            raise _no_item(wanted)
        return _json(found)

    async def _find(self, request: Request) -> bytes:
        conversation_id = _id(request)
        found = await self.store.run(lambda db: db.conversation(conversation_id))
        if found is None:
            raise no_conversation(conversation_id)
        return found

    async def _items(self, request: Request) -> list[bytes]:
        conversation_id = _id(request)
        found = await self.store.run(lambda db: db.conversation_items(conversation_id))
        if found is None:
            raise no_conversation(conversation_id)
        return found

    async def _read(self, request: Request, kind: type[T]) -> T:
        limit = self.settings.server.max_body
        content = await body.read(request.headers, request.receive, limit)
        return request_body.decode(content or b"{}", msgspec.json.Decoder(kind), _nothing)


def _id(request: Request) -> str:
    conversation_id: str = request.path_params["conversation_id"]
    return conversation_id


def _no_item(item_id: str) -> ObjectNotFound:
    return ObjectNotFound(f"Item with id {item_id[:64]!r} not found.")


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")
