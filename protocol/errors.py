"""Hold every error a client can be answered with.

MlxdError                        code                      status
├── CallerError                  the request can never work as sent
│   ├── InvalidRequest           invalid_request           400
│   ├── UnsupportedField         unsupported_field         400
│   ├── ContextLengthExceeded    context_length_exceeded   400
│   ├── InvalidApiKey            invalid_api_key           401
│   ├── ForbiddenHost            forbidden_host            403
│   ├── ModelNotAllowed          model_not_allowed         403
│   ├── PermissionDenied         permission_denied         403
│   ├── ModelNotFound            model_not_found           404
│   ├── ObjectNotFound           not_found                 404
│   ├── RepoNotFound             repo_not_found            404
│   ├── HubRefused               hub_refused               403
│   ├── PreviousResponseNotFound previous_response_not_found 404
│   ├── RouteNotFound            route_not_found           404
│   ├── MethodNotAllowed         method_not_allowed        405
│   ├── RequestTimeout           request_timeout           408
│   ├── ModelBusy                model_busy                409
│   └── RequestTooLarge          request_too_large         413
├── CapacityError                may work later
│   ├── RateLimited              rate_limited              429
│   ├── QueueFull                queue_full                429
│   ├── QueueTimeout             queue_timeout             503
│   ├── InsufficientMemory       insufficient_memory       503
│   ├── SlotsPinned              slots_pinned              503
│   ├── HubUnreachable           hub_unreachable           502
│   ├── DiskFull                 disk_full                 507
│   └── ShuttingDown             shutting_down             503
├── WorkerError                  ours or the model's fault
│   ├── ModelLoadFailed          model_load_failed         503
│   ├── WorkerDied               worker_died               503
│   ├── WorkerStopFailed         worker_stop_failed        500
│   └── InternalError            internal_error            500
└── ConfigError                  never over HTTP; the commands exit with 2
"""

import re
from collections.abc import Sequence
from typing import ClassVar

_LONGEST_NAME = 200
"""Characters of an unknown name that are sent back; a body may hold megabytes of it."""

_HOSTED = ("claude-", "gpt-")
"""How the names begin that clients ask hosted services for."""

_HUB_NAME = re.compile(
    r"(?:(?:hf\.co|huggingface\.co)/)?([A-Za-z0-9_][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95})", re.ASCII
)
"""A repository of the hub as `mlxctl pull` takes it, in the middle."""


class MlxdError(Exception):
    """Carry a sentence for the caller, a stable code and an HTTP status."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500

    def __init__(
        self, message: str, *, field: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        """Name of the request field at fault, OpenAI's `param`."""
        self.retry_after = retry_after
        """Seconds after which the same request may work."""


class CallerError(MlxdError):
    """Say that the request can never work as sent."""

    code = "invalid_request"
    status = 400


class InvalidRequest(CallerError):
    """Say which field is wrong and what was expected."""


class UnsupportedField(CallerError):
    """Say that a field is known and not implemented for this model."""

    code = "unsupported_field"

    def __init__(self, field: str, reason: str = "is not supported") -> None:
        super().__init__(f"{field}: {reason}", field=field)


class ContextLengthExceeded(CallerError):
    """Say how many tokens the prompt has and how many the window holds."""

    code = "context_length_exceeded"

    def __init__(
        self, prompt_tokens: int, limit: int, field: str = "messages", *, at_least: bool = False
    ) -> None:
        tokens = f"at least {prompt_tokens}" if at_least else prompt_tokens
        super().__init__(
            f"the prompt has {tokens} tokens, the model's context length is {limit} tokens",
            field=field,
        )
        self.prompt_tokens = prompt_tokens
        self.limit = limit
        self.at_least = at_least


class InvalidApiKey(CallerError):
    """Say that the key is missing, unknown or expired."""

    code = "invalid_api_key"
    status = 401


class ForbiddenHost(CallerError):
    """Say that the Host or Origin header is not allowed here."""

    code = "forbidden_host"
    status = 403


class ModelNotAllowed(CallerError):
    """Say that this key may not use this model."""

    code = "model_not_allowed"
    status = 403


class PermissionDenied(CallerError):
    """Say which right this key lacks."""

    code = "permission_denied"
    status = 403


class ModelNotFound(CallerError):
    """Say that no model has this name, and which names are near."""

    code = "model_not_found"
    status = 404

    def __init__(self, name: str, near: Sequence[str] = ()) -> None:
        hint = f"; did you mean {', '.join(near)}?" if near else "; `mlxctl list` shows all names"
        if name.startswith(_HOSTED):
            hint += (
                f'; a model of yours answers to it with `aliases: ["{name.partition("-")[0]}-*"]`'
            )
        if found := _HUB_NAME.fullmatch(name):
            hint += f"; if the hub has it, `mlxctl pull {found[1]}` downloads it"
        shown = name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "..."
        super().__init__(f"no model is named {shown!r}{hint}", field="model")
        self.name = name
        self.near = tuple(near)


class ObjectNotFound(CallerError):
    """Say that nothing is stored under this id, or no longer."""

    code = "not_found"
    status = 404


class RepoNotFound(CallerError):
    """Say that the hub shows no such repository or revision."""

    code = "repo_not_found"
    status = 404


class HubRefused(CallerError):
    """Say that the hub wants a token, another one, or its terms accepted."""

    code = "hub_refused"
    status = 403


class PreviousResponseNotFound(CallerError):
    """Say that the response to go on from is not stored, or no longer."""

    code = "previous_response_not_found"
    status = 404


class RouteNotFound(CallerError):
    """Say that no route has this path."""

    code = "route_not_found"
    status = 404


class MethodNotAllowed(CallerError):
    """Say that the route exists but not for this method."""

    code = "method_not_allowed"
    status = 405


class RequestTimeout(CallerError):
    """Say that the request did not come in time."""

    code = "request_timeout"
    status = 408


class ModelBusy(CallerError):
    """Say that the model answers requests and force was not asked for."""

    code = "model_busy"
    status = 409


class RequestTooLarge(CallerError):
    """Say how many bytes came and how many may come."""

    code = "request_too_large"
    status = 413


class CapacityError(MlxdError):
    """Say that the request is fine and may work later."""

    status = 503


class RateLimited(CapacityError):
    """Say that this key has used up its share for now."""

    code = "rate_limited"
    status = 429


class QueueFull(CapacityError):
    """Say how many requests already wait."""

    code = "queue_full"
    status = 429


class QueueTimeout(CapacityError):
    """Say that the request has waited for its model as long as its client allowed."""

    code = "queue_timeout"


class InsufficientMemory(CapacityError):
    """Say in bytes what is needed, free and allowed; the words context and length never appear."""

    code = "insufficient_memory"

    def __init__(self, *, needed: int, free: int, budget: int, evictable: int = 0) -> None:
        super().__init__(
            f"not enough memory: {needed} bytes needed, {free} bytes free, budget {budget} bytes, "
            f"the largest model that could go holds {evictable} bytes"
        )
        self.needed, self.free, self.budget = needed, free, budget
        self.evictable = evictable


class SlotsPinned(CapacityError):
    """Say that every slot of `memory.max_loaded` holds a pinned model."""

    code = "slots_pinned"


class HubUnreachable(CapacityError):
    """Say that the hub did not answer, or broke off."""

    code = "hub_unreachable"
    status = 502


class DiskFull(CapacityError):
    """Say what cannot be written; of a download, how many bytes it needs and how many are free."""

    code = "disk_full"
    status = 507


class ShuttingDown(CapacityError):
    """Say that the daemon is stopping, or the worker of this model before it had answered."""

    code = "shutting_down"


class WorkerError(MlxdError):
    """Say that the model or mlxd itself failed."""

    status = 503


class ModelLoadFailed(WorkerError):
    """Say why the model did not load; cached while the back-off lasts."""

    code = "model_load_failed"


class WorkerDied(WorkerError):
    """Say how the worker ended while it answered."""

    code = "worker_died"

    def __init__(self, message: str, *, may_retry: bool = False) -> None:
        super().__init__(message)
        self.may_retry = may_retry
        """Whether nobody wanted it to end, so that another worker may do better."""


class WorkerStopFailed(WorkerError):
    """Say which pid could not be ended."""

    code = "worker_stop_failed"
    status = 500


class InternalError(WorkerError):
    """Say that something unforeseen happened; the log has the details under the request id."""

    code = "internal_error"
    status = 500


class ConfigError(MlxdError):
    """Name the file, the key and what was expected; never sent over HTTP."""

    code = "config_error"
    status = 500
