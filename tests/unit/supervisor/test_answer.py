"""What a client may conclude from having the whole of an answer."""

from starlette.types import Message

from mlxd.protocol.dialect import Dialect
from mlxd.supervisor.front.answer import Answer, RawHeaders
from mlxd.supervisor.routes.models import answered


async def told_before_the_end(headers: RawHeaders, *, streaming: bool = False) -> list[bytes]:
    """Return what the client has of an answer while its worker is still held, and what came after that."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    def told() -> bytes:
        return b"".join(message.get("body", b"") for message in sent)

    answer = Answer(send, Dialect.OPENAI, streaming=streaming)
    held: list[bytes] = []

    async def relay() -> None:
        await answer.begin(200, headers)
        for chunk in (b"ab", b"cd", b"ef"):
            await answer.write(chunk)
        held.append(told())

    await answered({}, answer, 60.0, relay)
    assert sent[-1]["more_body"] is False
    return [*held, told()[len(held[0]) :]]


async def test_whoever_has_a_whole_answer_finds_its_worker_free() -> None:
    """Regression: the bytes that complete an answer with a length went out before the lease had ended."""
    assert await told_before_the_end([(b"Content-Length", b"6")]) == [b"abcd", b"ef"]


async def test_what_has_an_end_of_its_own_is_passed_on_as_it_comes() -> None:
    assert await told_before_the_end([]) == [b"abcdef", b""]
    stream = [(b"content-type", b"text/event-stream")]
    assert await told_before_the_end(stream, streaming=True) == [b"abcdef", b""]
