"""Describe Anthropic's list of models on the wire, page by page."""

from collections.abc import Sequence

import msgspec


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="model"):
    """Describe one model."""

    id: str
    display_name: str
    created_at: str
    """RFC 3339."""
    lifecycle: str = "active"
    max_input_tokens: int | None
    max_tokens: int | None


class ModelPage(msgspec.Struct, frozen=True):
    """Hold one page; `first_id` and `last_id` are what the pages before and after it are asked for by."""

    data: Sequence[ModelInfo]
    has_more: bool
    first_id: str | None
    last_id: str | None


def page(
    models: Sequence[ModelInfo], *, limit: int, after: str | None = None, before: str | None = None
) -> ModelPage:
    """Return up to `limit` models that follow the one named `after`, or the last ones that precede `before`.

    A name that is on no page (any more) bounds nothing.
    """
    ids = [model.id for model in models]
    start = ids.index(after) + 1 if after in ids else 0
    end = ids.index(before) if before in ids else len(ids)
    within = models[start:end]
    backwards = before in ids and after not in ids
    data = within[-limit:] if backwards else within[:limit]
    return ModelPage(
        data=data,
        has_more=len(within) > len(data),
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
    )
