"""Cut lists of stored items into pages the way OpenAI's API does."""

from collections.abc import Mapping, Sequence

import msgspec

from mlxd.protocol.errors import InvalidRequest

_DEFAULT, _MOST = 20, 100


class _Named(msgspec.Struct, frozen=True):
    id: str


class _Page(msgspec.Struct, frozen=True, kw_only=True):
    object: str = "list"
    data: list[msgspec.Raw]
    first_id: str
    last_id: str
    has_more: bool


def page(items: Sequence[bytes], query: Mapping[str, str]) -> bytes:
    """Return one page as JSON; the newest items come first unless `order` says otherwise."""
    limit = _limit(query.get("limit"))
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidRequest("order: expected asc or desc", field="order")
    ordered = list(items) if order == "asc" else list(reversed(items))
    ids = [msgspec.json.decode(item, type=_Named).id for item in ordered]
    start = 0
    if after := query.get("after"):
        if after not in ids:
            raise InvalidRequest("after: no item of this list has this id", field="after")
        start = ids.index(after) + 1
    end = min(start + limit, len(ids))
    shown = _Page(
        data=[msgspec.Raw(item) for item in ordered[start:end]],
        first_id=ids[start] if start < end else "",
        last_id=ids[end - 1] if start < end else "",
        has_more=end < len(ids),
    )
    return msgspec.json.encode(shown)


def _limit(given: str | None) -> int:
    if given is None:
        return _DEFAULT
    if given.isascii() and given.isdigit() and len(given) < 4 and 1 <= int(given) <= _MOST:
        return int(given)
    raise InvalidRequest(f"limit: expected 1 to {_MOST}", field="limit")
