"""A loop that works takes another share of the memory between two steps, and gives back what it is asked for."""

import socket

from support.engine_rig import Rig, lane, prompt, request

from mlxd.protocol import control
from mlxd.workers.engine.inbox import Limit, Shrink
from mlxd.workers.reporting import Listener


def test_with_a_smaller_share_rows_run_one_after_the_other_and_all_are_answered() -> None:
    rig = Rig(lane("qwen3"))
    alone = Rig(lane("qwen3"))
    rig.inbox.put(Limit(memory=1, cache=0))
    requests = [request(prompt(20, seed)) for seed in range(3)]
    uids = rig.submit(*requests)
    most = 0
    while not all(rig.reason(uid) for uid in uids):
        rig.step()
        most = max(most, rig.stats().decode)
    assert most == 1
    for uid, item in zip(uids, requests, strict=True):
        (other,) = alone.submit(item)
        alone.finish()
        assert rig.tokens(uid) == alone.tokens(other)


def test_a_shrink_changes_no_answer() -> None:
    rig, calm = Rig(lane("qwen3")), Rig(lane("qwen3"))
    item = request(prompt(20, 1), max_tokens=12)
    (uid,) = rig.submit(item)
    while not rig.reason(uid):
        rig.inbox.put(Shrink())
        rig.step()
    (other,) = calm.submit(item)
    calm.finish()
    assert rig.tokens(uid) == calm.tokens(other)


def test_what_the_supervisor_says_of_memory_is_passed_on() -> None:
    heard: list[control.Limits | control.Shrink] = []
    ours, theirs = socket.socketpair()
    listener = Listener(theirs, lambda code, reason: None, heard.append)
    for message in (control.Limits(7, 1), control.Shrink()):
        listener._handle(control.encode(message).rstrip())
    for end in (ours, theirs, listener._wake, listener._signals):
        end.close()
    assert heard == [control.Limits(7, 1), control.Shrink()]
