"""Many clients ask in all dialects at once, each something whose answer nobody else gets: nobody hears another's."""

import random
from concurrent.futures import ThreadPoolExecutor

from support.daemon import Daemon
from support.dialects import CONVERSING, Said, Wish

CLIENTS = 16
QUESTIONS = 96


def question(last: int) -> list[Said]:
    """Return a conversation that has a marker in it, which the answer must repeat."""
    earlier = (last * 7) % 9 + 2
    return [
        Said("user", f"Count to {earlier}"),
        Said("assistant", counted(earlier)),
        Said("user", f"Count to {last}"),
    ]


def counted(last: int) -> str:
    return ", ".join(map(str, range(1, last + 1)))


def test_each_of_many_clients_gets_the_answer_to_its_own_question(shared_daemon: Daemon) -> None:
    # Given questions by their numbers, of which many have beginnings in common
    draw = random.Random(11)
    asked = [(draw.randint(3, 40), draw.choice(sorted(CONVERSING))) for _ in range(QUESTIONS)]

    def ask(last: int, dialect: str) -> str:
        path, said, read = CONVERSING[dialect]
        body = {"model": "demo", **said(question(last), Wish(limit=200))}
        return str(read(shared_daemon.post(path, body)).text)

    # When sixteen clients ask them all at once
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(lambda item: ask(*item), asked))

    # Then every answer counts as far as its own question says, and no farther
    assert answers == [counted(last) for last, _ in asked]
    assert len(set(answers)) > 20
