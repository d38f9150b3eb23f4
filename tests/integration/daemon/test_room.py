"""With places for few models, the one that was used least recently makes room, and nobody is cut off for it."""

import asyncio

from conftest import RunDaemon
from support.daemon import Daemon, is_gone
from support.daemon_calls import CHAT, ENDLESS, chat, client, model, pids, shown, streaming
from support.deadline import eventually


def started(run: RunDaemon, places: int, *names: str) -> Daemon:
    """Start a daemon with so many places for these models."""
    models = [model(name) for name in names]
    return run({"models": models, "memory": {"max_loaded": places}, "demo": False})


def test_the_least_recently_used_of_two_makes_room(running_daemon: RunDaemon) -> None:
    daemon = started(running_daemon, 2, "a", "b", "c")
    for name in ("a", "b", "a"):
        daemon.post(CHAT, chat(name))
    old = pids(daemon)
    assert old.keys() == {"a", "b"}
    daemon.post(CHAT, chat("c"))
    now = pids(daemon)
    assert now.keys() == {"a", "c"}
    assert now["a"] == old["a"] and is_gone(old["b"])
    assert daemon.log.index(f"reaped pid={old['b']}") < daemon.log.index("model=c state=starting")


async def test_one_place_is_handed_over_when_the_last_answer_has_ended(
    running_daemon: RunDaemon,
) -> None:
    daemon = started(running_daemon, 1, "a", "b")
    async with client(daemon) as asker:
        async with streaming(asker, "a", 1, **ENDLESS):
            whole = chat("a", max_tokens=400, ignore_eos=True)
            first = asyncio.create_task(asker.post(CHAT, json=whole))
            old = pids(daemon)["a"]
            other = asyncio.create_task(asker.post(CHAT, json=chat("b")))
            await eventually(
                lambda: (shown(daemon, "b") or {}).get("queued_requests") == 1,
                within=60,
                what="the other model's request waits",
            )
            assert (await first).json()["choices"][0]["finish_reason"] == "length"
            assert not other.done()
        assert (await other).json()["model"] == "b"
        assert is_gone(old) and pids(daemon).keys() == {"b"}
        assert (await asker.post(CHAT, json=chat("a"))).json()["model"] == "a"
        assert pids(daemon).keys() == {"a"}
    assert daemon.log.index(f"reaped pid={old}") < daemon.log.index("model=b state=starting")
