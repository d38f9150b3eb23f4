"""Hold what pulling and removing models takes and returns; the same structs serve REST, `mlxctl` and the child."""

from typing import Literal

import msgspec

PullState = Literal["waiting", "planned", "downloading", "done"]


class PullRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for a model of the hub to be downloaded."""

    model: str
    """`ORG/NAME`, or `ORG/NAME@REVISION`."""
    revision: str | None = None
    dry_run: bool = False
    stream: bool = True
    token: str | None = None
    """For private and gated repositories; without it the daemon's own HF_TOKEN."""


class Progress(msgspec.Struct, frozen=True, kw_only=True, tag="progress", tag_field="event"):
    """Say how far a download is; the last one is `done`, of a dry run `planned`."""

    model: str
    status: PullState
    revision: str | None = None
    """The commit, once the hub has said it."""
    files: int = 0
    total_bytes: int = 0
    completed_bytes: int = 0
    """What is on the disk already, from earlier attempts too."""
    weights_bytes: int = 0
    free_bytes: int = 0
    """What the disk of the cache has left."""
    fits: bool | None = None
    """Whether the memory budget holds the model; None where nobody looked."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed", tag_field="event"):
    """Say why a download ended early, by the code of an error."""

    code: str
    message: str
    field: str | None = None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Tell the downloading process what to fetch; the first line of its input."""

    model: str
    revision: str | None
    cache: str
    """The Hugging Face cache."""
    journal: str
    """Folder of the notes on what is not finished."""
    token: str | None = None
    dry_run: bool = False


class Unfinished(msgspec.Struct, frozen=True, kw_only=True):
    """Name a model of which a part is on the disk; `total_bytes` is 0 where nobody noted it."""

    model: str
    completed_bytes: int
    total_bytes: int = 0
    running: bool = False


class UnfinishedList(msgspec.Struct, frozen=True):
    """Answer `GET /v1/downloads`."""

    data: list[Unfinished]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Describe one model that a search of the hub found."""

    model: str
    weights_bytes: int | None
    """None where the hub does not say."""
    downloads: int
    task: str
    gated: bool


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """Say what was removed from the disk."""

    model: str
    path: str
    freed_bytes: int
    unloaded: list[str] = []
    """Models that ran from it and were unloaded first."""


_event_decoder: msgspec.json.Decoder[Progress | Failed] = msgspec.json.Decoder(Progress | Failed)


def decode_event(line: bytes) -> Progress | Failed:
    """Read one line of the downloading process."""
    return _event_decoder.decode(line)
