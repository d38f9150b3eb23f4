"""The page of operators is made of files that exist, load nothing foreign and turn nothing into markup."""

import re
import subprocess

import pytest
from support.front import running_front
from support.keyed_front import keyed_front
from support.page import ENGINE

from mlxd.supervisor.web import page

SCRIPTS = [name for name in page.FILES if name.endswith(".js")]
TEXTS = {name: (page.FOLDER / name).read_text(encoding="utf-8") for name in page.FILES}


def policy(header: str) -> dict[str, str]:
    """Return the directives of a Content-Security-Policy."""
    directives = [part.split(maxsplit=1) for part in header.split(";") if part.strip()]
    return {name: values for name, values in directives}


@pytest.mark.parametrize("path", sorted(page.PATHS))
async def test_a_file_comes_with_headers_that_keep_everything_foreign_out(path: str) -> None:
    async with running_front() as front:
        response = await front.client.get(path)
        again = await front.client.get(path, headers={"if-none-match": response.headers["etag"]})
        head = await front.client.head(path)
    assert (response.status_code, again.status_code, again.content) == (200, 304, b"")
    assert (head.status_code, head.content) == (200, b"")
    rules = policy(response.headers["content-security-policy"])
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert "unsafe" not in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-frame-options"] == "DENY"
    assert response.headers["referrer-policy"] == "no-referrer"
    kind = {"css": "text/css", "js": "text/javascript"}.get(path.rpartition(".")[2], "text/html")
    assert response.headers["content-type"] == f"{kind}; charset=utf-8"


def test_everything_a_file_names_is_served() -> None:
    named = re.findall(r'(?:src|href)="([^"]+)"', TEXTS[page.INDEX])
    assert {f"/{name}" for name in named if not name.startswith("data:")} <= page.PATHS
    for name in SCRIPTS:
        for imported in re.findall(r'from "([^"]+)"', TEXTS[name]):
            assert imported.startswith("./") and imported[2:] in SCRIPTS
    reached = {"admin.js"} | {
        other[2:] for name in SCRIPTS for other in re.findall(r'from "([^"]+)"', TEXTS[name])
    }
    assert reached == set(SCRIPTS), "each script is needed"
    for text in TEXTS.values():
        assert not re.search(r"https?://|@import|url\(", text)


def test_what_is_hidden_stays_so_whatever_says_how_it_is_laid_out() -> None:
    """Regression: a browser showed the form for a key to everybody, for `form { display: flex }` won."""
    assert re.search(
        r"^\[hidden\] \{ display: none !important; \}$", TEXTS["admin.css"], re.MULTILINE
    )


def test_the_elements_that_the_script_looks_for_are_there() -> None:
    ids = re.findall(r'\bid="([\w-]+)"', TEXTS[page.INDEX])
    assert len(ids) == len(set(ids))
    wanted = set(re.findall(r'\bat\("([\w-]+)"\)', TEXTS["admin.js"]))
    assert wanted and wanted <= set(ids)


def test_nothing_becomes_markup_or_code() -> None:
    html = TEXTS[page.INDEX]
    assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", html)
    assert re.findall(r"<script[^>]*>[^<]+</script>", html) == []
    banned = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|Function\(|DOMParser|srcdoc"
    for name in SCRIPTS:
        assert not re.search(banned, TEXTS[name]), name
        assert "localStorage" not in TEXTS[name]


@pytest.mark.skipif(ENGINE is None, reason="no JavaScript engine is installed")
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_valid(name: str) -> None:
    assert ENGINE is not None
    done = subprocess.run(
        [ENGINE, "--check", "--input-type=module"],
        input=TEXTS[name],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "path", ["/admin/", "/admin/index.html", "/admin/../rights.py", "/admin/page.py"]
)
async def test_nothing_else_of_the_folder_is_served(path: str) -> None:
    async with running_front() as front:
        response = await front.client.get(path)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "route_not_found")


async def test_where_a_key_is_needed_the_page_comes_without_and_what_it_asks_does_not() -> None:
    async with keyed_front() as front:
        front.key()
        assert (await front.client.get("/admin")).status_code == 200
        assert (await front.client.get("/v1/models")).status_code == 401
        assert (await front.client.post("/admin")).status_code == 401
        foreign = {"host": "evil.example"}
        assert (await front.client.get("/admin", headers=foreign)).status_code == 403
