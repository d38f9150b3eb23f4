"""Keep responses and conversations in a file; used by one thread at a time.

A response's context is that of the response it follows, or its conversation, then its own input and output: each link
keeps only what it added. What was not used for longest goes first, and using a link uses the whole chain.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from mlxd.supervisor.responses.file import opened
from mlxd.supervisor.responses.items import Item

_RUNNING = ("queued", "in_progress")
_RESPONSE, _CONVERSATION = "response", "conversation"
_LOST = {
    "code": "server_error",
    "message": "the daemon ended while it answered",
    "type": "shutting_down",
    "param": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Hold a response with what it added to its context."""

    id: str
    body: bytes
    status: str
    previous: str | None = None
    conversation: str | None = None
    inputs: Sequence[Item] = field(default=())
    outputs: Sequence[Item] = field(default=())


class Database:
    """Hold one open file, or memory where there is none."""

    def __init__(self, path: Path | None, *, max_stored: int, max_bytes: int) -> None:
        self._max_stored, self._max_bytes = max_stored, max_bytes
        self._db = opened(path)
        self.tenant = ""
        """Whose things are seen: all that is asked for and kept belongs to this one."""
        with self._db:
            self._end_unfinished()
            self._trim()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def save(self, record: Record) -> None:
        """Keep a response; what it added also goes to its conversation once it is finished."""
        with self._db:
            self._forget(record.id)
            owner, start = record.id, 0
            is_running = record.status in _RUNNING
            if record.conversation and not is_running and self._is_kept(record.conversation):
                owner = record.conversation
                start = self._next_place(owner)
            added = self._add(owner, start, [*record.inputs, *record.outputs])
            if owner != record.id:
                self._grow(owner, added)
            inputs_end = start + len(record.inputs)
            outputs_end = inputs_end + len(record.outputs)
            size = len(record.body) + (added if owner == record.id else 0)
            row = (record.id, _RESPONSE, record.status, record.previous, owner)
            self._db.execute(
                "INSERT INTO kept VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, inputs_end, outputs_end, self._now(), size, record.body, self.tenant),
            )
            self._trim()

    def response(self, response_id: str) -> bytes | None:
        """Return a response as JSON."""
        return self._body(response_id, _RESPONSE)

    def is_running(self, response_id: str) -> bool:
        """Say whether a response has not ended yet."""
        row = self._db.execute(
            "SELECT status FROM kept WHERE id = ? AND tenant = ?", (response_id, self.tenant)
        ).fetchone()
        return row is not None and row[0] in _RUNNING

    def delete_response(self, response_id: str) -> bool:
        """Forget a response; says whether there was one."""
        return self._delete(response_id, _RESPONSE)

    def context(self, response_id: str, *, inputs_only: bool = False) -> list[bytes] | None:
        """Return all items up to the end of a response, or of its input; None where a link of its chain is gone."""
        chain: list[tuple[str, int]] = []
        seen: list[str] = []
        link: str | None = response_id
        while link is not None:
            row = self._db.execute(
                "SELECT previous, owner, inputs_end, outputs_end FROM kept "
                "WHERE id = ? AND kind = ? AND tenant = ?",
                (link, _RESPONSE, self.tenant),
            ).fetchone()
            if row is None or not self._is_kept(row[1]):
                return None
            wanted = row[2] if inputs_only and link == response_id else row[3]
            chain.append((row[1], wanted))
            seen += {link, row[1]}
            link = row[0]
        self._touch(seen)
        return [body for owner, end in reversed(chain) for body in self._read(owner, end)]

    def item(self, item_id: str) -> bytes | None:
        """Return the newest item of this id."""
        row = self._db.execute(
            "SELECT items.body FROM items JOIN kept ON kept.id = items.owner "
            "WHERE items.id = ? AND kept.tenant = ? ORDER BY items.rowid DESC",
            (item_id, self.tenant),
        ).fetchone()
        return None if row is None else row[0]

    def put_conversation(self, conversation_id: str, body: bytes) -> None:
        """Keep a conversation, or its new form."""
        with self._db:
            changed = self._db.execute(
                "UPDATE kept SET bytes = bytes - LENGTH(body) + ?, body = ?, used = ? "
                "WHERE id = ? AND kind = ? AND tenant = ?",
                (len(body), body, self._now(), conversation_id, _CONVERSATION, self.tenant),
            )
            if not changed.rowcount:
                row = (conversation_id, _CONVERSATION, "completed", None, conversation_id, 0, 0)
                self._db.execute(
                    "INSERT INTO kept VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (*row, self._now(), len(body), body, self.tenant),
                )
            self._trim()

    def conversation(self, conversation_id: str) -> bytes | None:
        """Return a conversation as JSON, without its items."""
        return self._body(conversation_id, _CONVERSATION)

    def delete_conversation(self, conversation_id: str) -> bool:
        """Forget a conversation with its items; says whether there was one."""
        return self._delete(conversation_id, _CONVERSATION)

    def conversation_items(self, conversation_id: str) -> list[bytes] | None:
        """Return the items of a conversation, None where there is no such conversation."""
        if self.conversation(conversation_id) is None:
            return None
        self._touch([conversation_id])
        return self._read(conversation_id)

    def append(self, conversation_id: str, items: Sequence[Item]) -> bool:
        """Add to a conversation; says whether there is one."""
        if self.conversation(conversation_id) is None:
            return False
        with self._db:
            added = self._add(conversation_id, self._next_place(conversation_id), items)
            self._grow(conversation_id, added)
            self._trim()
        return True

    def remove(self, conversation_id: str, item_id: str) -> bool:
        """Take an item out of a conversation; says whether it was there."""
        with self._db:
            found = self._db.execute(
                "DELETE FROM items WHERE owner = ? AND id = ? RETURNING LENGTH(body)",
                (conversation_id, item_id),
            ).fetchall()
            self._grow(conversation_id, -sum(row[0] for row in found))
        return bool(found)

    def _body(self, kept_id: str, kind: str) -> bytes | None:
        row = self._db.execute(
            "SELECT body FROM kept WHERE id = ? AND kind = ? AND tenant = ?",
            (kept_id, kind, self.tenant),
        ).fetchone()
        return None if row is None else row[0]

    def _delete(self, kept_id: str, kind: str) -> bool:
        with self._db:
            is_there = self._body(kept_id, kind) is not None
            if is_there:
                self._forget(kept_id)
        return is_there

    def _forget(self, kept_id: str) -> None:
        self._db.execute("DELETE FROM kept WHERE id = ?", (kept_id,))
        self._db.execute("DELETE FROM items WHERE owner = ?", (kept_id,))

    def _is_kept(self, kept_id: str) -> bool:
        wanted = (kept_id, self.tenant)
        found = self._db.execute("SELECT 1 FROM kept WHERE id = ? AND tenant = ?", wanted)
        return bool(found.fetchone())

    def _read(self, owner: str, end: int = 1 << 62) -> list[bytes]:
        rows = self._db.execute(
            "SELECT body FROM items WHERE owner = ? AND place < ? ORDER BY place", (owner, end)
        )
        return [row[0] for row in rows]

    def _add(self, owner: str, start: int, items: Iterable[Item]) -> int:
        """Write items and return their bytes."""
        rows = [(owner, start + at, item.id, item.body) for at, item in enumerate(items)]
        self._db.executemany("INSERT INTO items VALUES(?, ?, ?, ?)", rows)
        return sum(len(row[3]) for row in rows)

    def _grow(self, kept_id: str, added: int) -> None:
        self._db.execute(
            "UPDATE kept SET bytes = bytes + ?, used = ? WHERE id = ?",
            (added, self._now(), kept_id),
        )

    def _next_place(self, owner: str) -> int:
        row = self._db.execute("SELECT MAX(place) FROM items WHERE owner = ?", (owner,)).fetchone()
        return 0 if row[0] is None else int(row[0]) + 1

    def _touch(self, ids: Iterable[str]) -> None:
        with self._db:
            now = self._now()
            self._db.executemany(
                "UPDATE kept SET used = ? WHERE id = ?", [(now, kept_id) for kept_id in ids]
            )

    def _now(self) -> int:
        """Return the time by the only clock that matters here: the order of uses."""
        return int(self._db.execute("SELECT COALESCE(MAX(used), 0) + 1 FROM kept").fetchone()[0])

    def _trim(self) -> None:
        """Forget what was not used for longest until the rest is within bounds; what still runs stays."""
        count, size = self._db.execute("SELECT COUNT(*), TOTAL(bytes) FROM kept").fetchone()
        while count > self._max_stored or size > self._max_bytes:
            oldest = self._db.execute(
                "SELECT id, bytes FROM kept WHERE status NOT IN (?, ?) ORDER BY used LIMIT 1",
                _RUNNING,
            ).fetchone()
            if oldest is None:
                return
            self._forget(oldest[0])
            count, size = count - 1, size - oldest[1]

    def _end_unfinished(self) -> None:
        """Say of responses that an earlier daemon left behind that they failed."""
        rows = self._db.execute(
            "SELECT id, body FROM kept WHERE status IN (?, ?)", _RUNNING
        ).fetchall()
        for kept_id, body in rows:
            ended = msgspec.json.decode(body) | {"status": "failed", "error": _LOST}
            self._db.execute(
                "UPDATE kept SET status = 'failed', body = ? WHERE id = ?",
                (msgspec.json.encode(ended), kept_id),
            )
