"""Files come from what a request holds; addresses are fetched only where the settings say so."""

import threading
from base64 import b64encode

import pytest

from mlxd.protocol.errors import InvalidRequest, UnsupportedField
from mlxd.workers.chat.content import ImagePart
from mlxd.workers.media.fetch import Fetcher
from mlxd.workers.media.files import Files
from mlxd.workers.media.limits import MediaLimits

LIMITS = MediaLimits(file_bytes=100, request_bytes=150)
TEXT = b64encode(b"abc").decode()


def part(url: str | None = None, base64: str | None = None) -> ImagePart:
    return ImagePart(url=url, base64=base64, field="here")


@pytest.mark.parametrize(
    "given",
    [
        part(f"data:image/png;base64,{TEXT}"),
        part(f"DATA:image/PNG;charset=x;BASE64,{TEXT}"),
        part(f"data:;base64,{TEXT}"),
        part(base64=f" {TEXT[:2]}\n{TEXT[2:]} "),
    ],
)
async def test_what_a_request_holds_is_decoded(given: ImagePart) -> None:
    assert await Files(LIMITS).get([given]) == [b"abc"]


@pytest.mark.parametrize(
    "given",
    [
        part("file:///etc/passwd"),
        part("/etc/passwd"),
        part("../../etc/passwd"),
        part(TEXT),
        part(""),
        part("ftp://x/"),
        part("data:image/png,abc"),
        part(f"data:text/html;base64,{TEXT}"),
        part("data:image/png;base64,@@@"),
        part("data:image/png;base64,"),
        part(base64="@"),
        part(base64=b64encode(b"x" * 101).decode()),
    ],
)
async def test_everything_else_is_refused_by_its_field(given: ImagePart) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await Files(LIMITS).get([given])
    assert caught.value.field == "here"
    assert "passwd" not in caught.value.message


async def test_addresses_are_not_fetched_unless_the_settings_say_so() -> None:
    with pytest.raises(UnsupportedField, match=r"media\.allow_urls"):
        await Files(LIMITS).get([part("https://outside.example/a.png")])
    with pytest.raises(InvalidRequest, match="public internet"):
        await Files(MediaLimits(fetch_urls=True)).get([part("http://127.0.0.1:9/a.png")])


async def test_a_name_whose_address_never_comes_is_given_up() -> None:
    found = threading.Event()

    def resolve(host: str, port: int) -> list[str]:
        found.wait(60)
        return ["127.0.0.1"]

    limits = MediaLimits(fetch_urls=True, seconds=0.1)
    fetcher = Fetcher(seconds=limits.seconds, most_bytes=10, resolve=resolve)
    try:
        with pytest.raises(InvalidRequest, match="did not come within") as caught:
            await Files(limits, fetcher).get([part("http://outside.example/a.png")])
        assert caught.value.field == "here"
    finally:
        found.set()


async def test_the_files_of_a_request_are_counted_together() -> None:
    each = part(base64=b64encode(b"x" * 80).decode())
    assert len(await Files(LIMITS).get([each])) == 1
    with pytest.raises(InvalidRequest, match="150 bytes"):
        await Files(LIMITS).get([each, each])
