"""Whatever is written in a configuration, it is read as meant or refused with a place."""

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlxd.config.environment import variables
from mlxd.config.load import load
from mlxd.config.settings import (
    Defaults,
    Media,
    Memory,
    ModelEntry,
    PromptCache,
    Responses,
    Server,
    Settings,
    Tracing,
    is_pattern,
)
from mlxd.protocol.errors import ConfigError
from mlxd.protocol.generation import KvCache, SamplingDefaults
from mlxd.protocol.units import NEVER

TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff\x85"),
    max_size=20,
)
NAME = TEXT.filter(lambda text: bool(text.strip()))
ID = NAME.filter(lambda text: not is_pattern(text))
SECONDS = st.floats(min_value=0.001, max_value=1e6) | st.just(NEVER)
SIZE = st.integers(min_value=1, max_value=10**13)
COUNT = st.integers(min_value=1, max_value=10**6)
OVERFLOW: st.SearchStrategy[Any] = st.sampled_from(["error", "truncate", "summarize"])
KV_CACHE = st.builds(
    KvCache,
    bits=st.sampled_from([None, 4, 8]),
    group_size=st.sampled_from([None, 32, 64, 128]),
    max_tokens=st.none() | st.integers(16, 10**6),
    keep=st.none() | st.integers(0, 16),
)
SAMPLING = st.builds(
    SamplingDefaults,
    temperature=st.none() | st.integers(0, 100_000).map(lambda n: n / 1000),
    top_p=st.none() | st.integers(0, 1000).map(lambda n: n / 1000),
    top_k=st.none() | st.integers(min_value=0, max_value=10**6),
    presence_penalty=st.none() | st.integers(-2000, 2000).map(lambda n: n / 1000),
    max_tokens=st.none() | COUNT,
)
KEY = st.sampled_from(
    ["server", "port", "host", "models", "id", "aliases", "memory", "budget", "demo", "defaults", "<<", "x"]
)  # fmt: skip
SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.dates()
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner), max_leaves=12
)


@st.composite
def settings(draw: st.DrawFn) -> Settings:
    """Draw settings a user could have meant; folders among them are absolute already."""
    names = iter(draw(st.lists(ID, unique=True, max_size=12)))
    entries = [
        ModelEntry(
            id=name,
            source=draw(st.none() | st.just("/models/a") | st.just("org/name")),
            aliases=tuple(alias for alias in [next(names, None)] if alias),
            idle_timeout=draw(st.none() | SECONDS),
            pin=draw(st.booleans()),
            max_batch=draw(st.none() | COUNT),
            context_length=draw(st.none() | COUNT),
            prompt_cache=draw(
                st.none() | st.builds(PromptCache, memory=st.none() | SIZE, disk=st.none() | SIZE)
            ),
            overflow=draw(st.none() | OVERFLOW),
            kv_cache=draw(st.none() | KV_CACHE),
            sampling=draw(st.none() | SAMPLING),
            system_prompt=draw(st.none() | NAME),
            draft_model=draw(st.none() | st.just("org/small")),
            prompt_lookup=draw(st.integers(0, 20)),
            adapter=draw(st.none() | st.just("/adapters/a")),
        )
        for name in names
    ]
    counts = ["max_batch", "standby_workers", "max_queue", "quarantine_after"]
    kinds = dict.fromkeys(counts, COUNT) | dict.fromkeys(
        ("prompt_cache_memory", "prompt_cache_disk"), SIZE
    )
    kinds["overflow"] = OVERFLOW
    return Settings(
        server=draw(
            st.builds(
                Server,
                host=NAME,
                port=st.integers(min_value=0, max_value=65535),
                client_timeout=SECONDS,
                signature_tolerance=SECONDS,
                allowed_hosts=st.lists(NAME, max_size=3).map(tuple),
                cors_origins=st.lists(NAME, max_size=3).map(tuple),
                api_key=st.none() | NAME,
                max_body=SIZE,
                keepalive_interval=SECONDS,
                log_level=st.sampled_from(["debug", "info", "warning", "error"]),
            )
        ),
        memory=draw(
            st.builds(
                Memory,
                budget=SIZE.map(str) | st.integers(min_value=1, max_value=100).map("{}%".format),
                max_loaded=st.integers(min_value=0, max_value=100),
            )
        ),
        defaults=msgspec.convert(
            {key: draw(kinds.get(key, SECONDS)) for key in Defaults.__struct_fields__},
            Defaults,
        ),
        responses=draw(st.builds(Responses, max_stored=st.integers(0, 10**6), max_bytes=SIZE)),
        media=draw(
            st.builds(
                Media,
                max_audio=SECONDS,
                max_image=st.integers(0, 10**9),
                max_film=SECONDS,
                max_frames=st.integers(1, 10**9),
                max_generated_pixels=st.integers(1, 10**9),
                max_pixels=st.integers(1, 10**9),
                allow_urls=st.booleans(),
                fetch_timeout=SECONDS,
            )
        ),
        tracing=draw(
            st.builds(
                Tracing,
                endpoint=st.none() | st.just("https://collector.test:4318/otlp"),
                ratio=st.floats(0, 1),
            )
        ),
        demo=draw(st.booleans()),
        hub=draw(st.booleans()),
        models=tuple(entries),
    )


def written(value: object) -> object:
    """Return settings as a user writes them: never for no limit."""
    if isinstance(value, msgspec.Struct):
        return {key: written(item) for key, item in msgspec.structs.asdict(value).items()}
    if isinstance(value, tuple):
        return [written(item) for item in value]
    return "never" if value == NEVER else value


@contextmanager
def a_file(content: bytes) -> Iterator[Path]:
    """Give a configuration file with this content."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_bytes(content)
        yield file


def load_or_refuse(file: Path, env: dict[str, str]) -> None:
    """Load; a refusal must name its place."""
    try:
        load(file, env)
    except ConfigError as error:
        assert re.match(rf"({re.escape(str(file))}|MLXD_\w+):", error.message)
        assert len(error.message) < 1000


@given(settings(), st.booleans())
def test_what_is_written_is_what_is_set(meant: Settings, flow: bool) -> None:
    text = yaml.safe_dump(written(meant), default_flow_style=flow, allow_unicode=True)
    with a_file(text.encode()) as file:
        assert load(file, {}) == meant


@given(settings())
def test_json_is_a_configuration_too(meant: Settings) -> None:
    with a_file(json.dumps(written(meant), ensure_ascii=False).encode()) as file:
        assert load(file, {}) == meant


@given(st.binary() | TEXT.map(str.encode))
def test_any_bytes_are_read_or_refused_with_a_place(content: bytes) -> None:
    with a_file(content) as file:
        load_or_refuse(file, {})


@given(st.dictionaries(KEY, ANYTHING))
def test_any_values_are_read_or_refused_with_a_place(values: dict[str, Any]) -> None:
    with a_file(yaml.safe_dump(values, allow_unicode=True).encode()) as file:
        load_or_refuse(file, {})


@given(st.dictionaries(st.sampled_from(sorted(variables())), TEXT, max_size=3))
def test_any_environment_is_read_or_refused_by_name(env: dict[str, str]) -> None:
    with a_file(b"") as file:
        load_or_refuse(file, env)


@given(st.integers(min_value=0, max_value=5), st.integers(min_value=0, max_value=5))
def test_the_line_is_the_line(before: int, models: int) -> None:
    text = "# a comment\n" * before + "models:\n"
    text += "".join(f"- id: m{n}\n  aliases:\n  - a{n}\n" for n in range(models))
    text += "- id: last\n  aliases: []\n  pin: maybe\n"
    with a_file(text.encode()) as file:
        try:
            load(file, {})
        except ConfigError as error:
            place = f"{file}:{before + 1 + 3 * models + 3}: models[{models}].pin: "
            assert error.message.startswith(place)
        else:
            raise AssertionError("not refused")
