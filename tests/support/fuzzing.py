"""Send requests to a daemon, many at a time, and hold every answer to what holds for all of them."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
from support.fuzz_cases import Case, Requests
from support.fuzz_routes import SPARE

from mlxd.protocol import errors
from mlxd.protocol.errors import CapacityError

AT_ONCE = 24
DEADLINE_S = 90.0
"""No request may take longer, whatever it asks for."""
CAPACITY = {
    (kind.status, kind.code)
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, CapacityError) and kind is not CapacityError
}
"""Refusals of a daemon that works as it should: no room, no disk, no hub."""

INTERNAL = errors.InternalError.code.encode()
UNLOADED = f"{SPARE} was unloaded while loading"
"""What those hear who wait for a model that another one does not want."""


@dataclass
class Tally:
    """Hold what came of the requests."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    times: list[tuple[float, str]] = field(default_factory=list)

    def by_status(self) -> dict[int, int]:
        """Return how many answers had each status."""
        found: Counter[int] = Counter()
        for (_, status), count in self.statuses.items():
            found[status] += count
        return dict(sorted(found.items()))

    def share(self, status: int) -> float:
        """Return the share of answers with this status."""
        found = sum(count for (_, code), count in self.statuses.items() if code == status)
        return found / max(1, self.statuses.total())


async def fuzz(url: str, key: str, requests: Requests, numbers: range) -> Tally:
    """Send the requests of these numbers; those that were answered wrongly are told in the tally."""
    tally, todo = Tally(), iter(numbers)
    limits = httpx.Limits(max_connections=None)
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(
        base_url=url, headers=headers, timeout=None, limits=limits
    ) as http:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(_send_all(http, requests, todo, tally))
    return tally


async def _send_all(
    http: httpx.AsyncClient, requests: Requests, todo: Iterator[int], tally: Tally
) -> None:
    for number in todo:
        case = requests.case(number)
        began = time.monotonic()
        try:
            async with asyncio.timeout(DEADLINE_S):
                fault = await _send(http, case, tally)
        except TimeoutError:
            fault = f"no end within {DEADLINE_S:g} s"
        except httpx.HTTPError as error:
            fault = f"the connection broke: {error!r}"
        tally.times.append((time.monotonic() - began, str(case)))
        if fault is not None:
            tally.wrong.append(f"{fault}\n  {case}")


async def _send(http: httpx.AsyncClient, case: Case, tally: Tally) -> str | None:
    """Return what is wrong about the answer."""
    headers = {"content-type": case.content_type}
    async with http.stream(
        case.method, case.path, content=case.content, headers=headers
    ) as response:
        tally.statuses[case.path, response.status_code] += 1
        if case.leaves_early:
            return None
        content, whole = b"", True
        try:
            async for piece in response.aiter_bytes():
                content += piece
        except httpx.RemoteProtocolError:
            whole = False  # how a stream that failed ends
    return _fault(case, response, content, whole)


def _fault(case: Case, response: httpx.Response, content: bytes, whole: bool) -> str | None:
    if response.status_code < 400:
        # Words of ours are drawn too, and what a caller stores is told back to him.
        if INTERNAL in content and INTERNAL not in case.content:
            return f"an internal error within {content[-600:]!r}"
        return None if whole or b"error" in content else f"cut off: {content[-600:]!r}"
    try:
        told = json.loads(content)
    except ValueError:
        return f"{response.status_code} is not JSON: {content[:600]!r}"
    said = told.get("error", told)
    message = said if isinstance(said, str) else said.get("message")
    if not message:
        return f"{response.status_code} says nothing: {told}"
    if response.status_code >= 500:
        code = told.get("code") or (said.get("code") if isinstance(said, dict) else None)
        if (response.status_code, code) not in CAPACITY and UNLOADED not in message:
            return f"{response.status_code}: {told}"
    return None
