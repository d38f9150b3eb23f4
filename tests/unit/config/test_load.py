"""Loading finds the file, and every mistake in it is named by file, line, key and what was expected."""

import json
from pathlib import Path

import msgspec
import pytest

from mlxd.config.load import DEFAULTS, find, load
from mlxd.config.settings import ModelEntry, PromptCache, Settings
from mlxd.protocol.errors import ConfigError
from mlxd.protocol.units import NEVER


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Name a configuration file."""
    return tmp_path / "config.yaml"


def loaded(file: Path, text: str, **env: str) -> Settings:
    """Return the settings of a file with this text."""
    file.write_text(text)
    return load(file, env)


def error_of(file: Path, text: str, **env: str) -> str:
    """Return the error of a file with this text, the folder's name left out."""
    with pytest.raises(ConfigError) as caught:
        loaded(file, text, **env)
    return caught.value.message.replace(f"{file.parent}/", "")


def test_without_a_file_the_defaults_count(tmp_path: Path) -> None:
    settings = load(None, {"HOME": str(tmp_path)})
    assert settings == load(DEFAULTS, {})
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 10240)
    assert (settings.defaults.idle_timeout, settings.memory.budget) == (600.0, "75%")
    assert settings.models == ()


def test_the_users_own_file_is_found_where_xdg_puts_it(tmp_path: Path) -> None:
    own = tmp_path / ".config" / "mlxd" / "config.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("demo: false")
    assert not load(None, {"HOME": str(tmp_path)}).demo
    assert load(None, {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "x")}).demo


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    gone = tmp_path / "gone.yaml"
    with pytest.raises(ConfigError, match=r"^/.*gone\.yaml: no such file$"):
        load(gone, {})
    with pytest.raises(ConfigError, match=r"^MLXD_CONFIG: /.*gone\.yaml: no such file$"):
        load(None, {"MLXD_CONFIG": str(gone)})


def test_the_argument_beats_the_variable(file: Path, tmp_path: Path) -> None:
    file.write_text("")
    assert find(file, {"MLXD_CONFIG": str(tmp_path / "gone")}) == file


def test_the_variable_may_start_with_a_tilde(file: Path) -> None:
    file.write_text("hub: false")
    assert not load(None, {"HOME": str(file.parent), "MLXD_CONFIG": "~/config.yaml"}).hub


def test_a_full_file_is_read(file: Path) -> None:
    settings = loaded(
        file,
        """
        server: {host: "::1", port: 0, cors_origins: ["*"], api_key: "1234", max_body: 1MiB}
        memory: {budget: 48GB, max_loaded: 2}
        defaults: {idle_timeout: never, max_batch: 1}
        demo: false
        models:
          - id: qwen3-8b
            source: mlx-community/Qwen3-8B-4bit
            aliases: [gpt-4o-mini, "claude-*"]
            idle_timeout: -1
            pin: true
            max_batch: 16
            context_length: 32768
            prompt_cache: {memory: 2GB, disk: 20GB}
            draft_model: mlx-community/Qwen3-0.6B-4bit
            adapter: ./adapters/support
            chat_template: chat.jinja
        """,
    )
    assert (settings.server.host, settings.server.port, settings.server.api_key) == (
        "::1",
        0,
        "1234",
    )
    assert settings.server.max_body == 2**20
    assert settings.memory.budget == "48000000000"
    assert settings.defaults.idle_timeout == NEVER
    assert settings.defaults.backoff == 30
    assert settings.models == (
        ModelEntry(
            id="qwen3-8b",
            source="mlx-community/Qwen3-8B-4bit",
            aliases=("gpt-4o-mini", "claude-*"),
            idle_timeout=NEVER,
            pin=True,
            max_batch=16,
            context_length=32768,
            prompt_cache=PromptCache(memory=2 * 10**9, disk=20 * 10**9),
            draft_model="mlx-community/Qwen3-0.6B-4bit",
            adapter=str(file.parent / "adapters/support"),
            chat_template=str(file.parent / "chat.jinja"),
        ),
    )


def test_an_empty_section_changes_nothing(file: Path) -> None:
    assert loaded(file, "server:\nmemory:\nmodels:\n") == load(DEFAULTS, {})
    assert loaded(file, "") == load(DEFAULTS, {})


def test_a_list_replaces_the_default_list(file: Path) -> None:
    assert loaded(file, "server: {allowed_hosts: [mac.local]}").server.allowed_hosts == (
        "mac.local",
    )


def test_an_anchor_may_be_used_twice(file: Path) -> None:
    models = loaded(
        file,
        "models:\n- {id: a, prompt_cache: &small {memory: 1GB}}\n- {id: b, prompt_cache: *small}",
    ).models
    assert models[0].prompt_cache == models[1].prompt_cache == PromptCache(memory=10**9)


@pytest.mark.parametrize(
    ("source", "becomes"),
    [
        ("org/name", "org/name"), ("gpt2", "gpt2"), ("/models/x", "/models/x"), ("./x", "HERE/x"), ("../x/", "UP/x"),
        (".", "HERE"), ("~/x", "HOME/x"), ("~nobody-here/x", "HERE/~nobody-here/x"),
    ],
)  # fmt: skip
def test_a_folder_is_made_absolute_and_a_hub_id_left_alone(
    file: Path, monkeypatch: pytest.MonkeyPatch, source: str, becomes: str
) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    for name, folder in (("HERE", file.parent), ("UP", file.parent.parent), ("HOME", "/somewhere")):
        becomes = becomes.replace(name, str(folder))
    (entry,) = loaded(file, f"models: [{{id: a, source: {source}, draft_model: {source}}}]").models
    assert (entry.source, entry.draft_model) == (becomes, becomes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # what does not fit its key
        ("models:\n- id: a\n  idle_timeout: banana",
         'config.yaml:3: models[0].idle_timeout: expected a duration such as 30, "90s", "10m", "1h30m" or -1 (never), '
         'got "banana"'),
        ("server:\n  port: 99999", "config.yaml:2: server.port: expected a whole number from 0 to 65535, got 99999"),
        ("server: {port: -1}", "config.yaml:1: server.port: expected a whole number from 0 to 65535, got -1"),
        ("server: {port: '80'}", 'config.yaml:1: server.port: expected a whole number from 0 to 65535, got "80"'),
        ("server: {port: true}", "config.yaml:1: server.port: expected a whole number from 0 to 65535, got true"),
        ("server: {port: 80.0}", "config.yaml:1: server.port: expected a whole number from 0 to 65535, got 80.0"),
        ("server: {port: }", "config.yaml:1: server.port: expected a whole number from 0 to 65535, got nothing"),
        ("server: {host: ' '}", 'config.yaml:1: server.host: expected text that is not empty, got " "'),
        ("server: {host: 127}", "config.yaml:1: server.host: expected text in quotes, got 127"),
        ("server: {host: [a]}", "config.yaml:1: server.host: expected text, got a list"),
        ("server: {host: {a: b}}", "config.yaml:1: server.host: expected text, got keys and values"),
        ("server: {log_level: loud}",
         'config.yaml:1: server.log_level: expected one of debug, error, info, warning, got "loud"'),
        ("server: {log_level: [info]}",
         "config.yaml:1: server.log_level: expected one of debug, error, info, warning, got a list"),
        ("server: {keepalive_interval: 0}",
         "config.yaml:1: server.keepalive_interval: expected a duration longer than 0, got 0"),
        ("server: {max_body: 5XB}",
         'config.yaml:1: server.max_body: expected a size such as 1048576, "512MB" or "2GiB", got "5XB"'),
        ("server: {allowed_hosts: localhost}",
         'config.yaml:1: server.allowed_hosts: expected a list, got "localhost"'),
        ("server:\n  allowed_hosts:\n  - a\n  - 5",
         "config.yaml:4: server.allowed_hosts[1]: expected text in quotes, got 5"),
        ("demo: 1", "config.yaml:1: demo: expected true or false, got 1"),
        ("demo: yes", 'config.yaml:1: demo: expected true or false, got "yes"'),
        ("demo:", "config.yaml:1: demo: expected true or false, got nothing"),
        ("models: [{id: a, sampling: {temperature: hot}}]",
         "config.yaml:1: models[0].sampling.temperature: expected a number of at least 0 and at most 100, "
         'got "hot"'),
        ("models: [{id: a, sampling: {top_p: 1.5}}]",
         "config.yaml:1: models[0].sampling.top_p: expected a number of at least 0 and at most 1, got 1.5"),
        ("models: [{id: a, sampling: {repetition_penalty: 0}}]",
         "config.yaml:1: models[0].sampling.repetition_penalty: expected a number above 0 and at most 100, got 0"),
        ("models: [{id: a, sampling: {min_p: .nan}}]",
         'config.yaml:1: models[0].sampling.min_p: expected a number of at least 0 and at most 1, got ".nan"'),
        ("models: [{id: a, sampling: {presence_penalty: true}}]",
         "config.yaml:1: models[0].sampling.presence_penalty: expected a number of at least -2 and at most 2, "
         "got true"),
        ("models: [{id: a, kv_cache: {bits: 5}}]",
         "config.yaml:1: models[0].kv_cache.bits: expected one of 4, 8, got 5"),
        ("models: [{id: a, kv_cache: {bits: 8.0}}]",
         "config.yaml:1: models[0].kv_cache.bits: expected one of 4, 8, got 8.0"),
        ("models: [{id: a, overflow: cut}]",
         'config.yaml:1: models[0].overflow: expected one of error, summarize, truncate, got "cut"'),
        ("models: [{id: a, sampling: {temperatur: 1}}]",
         "config.yaml:1: models[0].sampling.temperatur: unknown key; did you mean temperature?"),
        ("defaults: {max_batch: 0}",
         "config.yaml:1: defaults.max_batch: expected a whole number of at least 1, got 0"),
        ("memory: {max_loaded: -1}",
         "config.yaml:1: memory.max_loaded: expected a whole number of at least 0, got -1"),
        ("server: 5", "config.yaml:1: server: expected keys and values, got 5"),
        ("- a", "config.yaml:1: expected keys and values, got a list"),
        ("\n\nhello", 'config.yaml:1: expected keys and values, got "hello"'),
        ("models: {id: a}", "config.yaml:1: models: expected a list, got keys and values"),
        ("models: [a]", 'config.yaml:1: models[0]: expected keys and values, got "a"'),
        ("models:\n- id: a\n- source: b", "config.yaml:3: models[1]: the key id is missing"),
        # what is no key
        ("demo: true\nserve: {}", "config.yaml:2: serve: unknown key; did you mean server?"),
        ("server:\n  prot: 1", "config.yaml:2: server.prot: unknown key; did you mean port?"),
        ("models: [{id: a, zzz: 1}]", "config.yaml:1: models[0].zzz: unknown key"),
        ("5: a", "config.yaml:1: 5: unknown key"),
        # what is no YAML, or not plain
        ("demo: true\n\ndemo: false", "config.yaml:3: demo: appears twice, first on line 1"),
        ("server:\n  port: 1\n  port: 2", "config.yaml:3: server.port: appears twice, first on line 2"),
        ("a: !!python/name:os.system x",
         "config.yaml:1: a: the tag tag:yaml.org,2002:python/name:os.system is not allowed"),
        ("a: !mine [1]", "config.yaml:1: a: the tag !mine is not allowed"),
        ("a: !!set {1}", "config.yaml:1: a: the tag tag:yaml.org,2002:set is not allowed"),
        ("? [a, b]\n: c", "config.yaml:1: expected a name before the colon"),
        ("models: &all [*all]", "config.yaml:1: models[0]: holds itself through an alias"),
        # names
        ("models:\n- id: a\n- id: b\n- id: a",
         'config.yaml:4: models[2].id: expected a name of its own, "a" is also models[0].id on line 2'),
        ("models:\n- id: a\n  aliases: [x, b]\n- id: b",
         'config.yaml:3: models[0].aliases[1]: expected a name of its own, "b" is also models[1].id on line 4'),
        ("models:\n- id: a\n  aliases: ['*']\n- id: b\n  aliases: ['*']",
         'config.yaml:5: models[1].aliases[0]: expected a name of its own, "*" is also models[0].aliases[0] on line 3'),
        ("models: [{id: 'a*'}]", 'config.yaml:1: models[0].id: expected a name without * ? [, got "a*"'),
    ],
)  # fmt: skip
def test_a_mistake_is_named_by_line_key_and_what_was_expected(
    file: Path, text: str, message: str
) -> None:
    assert error_of(file, text) == message


@pytest.mark.parametrize("budget", ["0%", "101%", "banana", "0", "-5", "true", "[]", ""])
def test_a_budget_is_a_share_or_a_size(file: Path, budget: str) -> None:
    message = error_of(file, f"memory: {{budget: {budget}}}")
    assert message.startswith(
        'config.yaml:1: memory.budget: expected a share such as "75%" or a size such as "48GB", got '
    )


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("server: [", "config.yaml:1: not valid YAML: "),
        ("a: 1\n\tb: 2", "config.yaml:2: not valid YAML: "),
        ("a: *nobody", "config.yaml:1: not valid YAML: "),
        ("a: 1\n---\nb: 2", "config.yaml:2: not valid YAML: "),
        ("a: \x01", "config.yaml: not valid YAML: "),
        ("[" * 200_000 + "]" * 200_000, "config.yaml:1: nested too deeply"),
        ("{a: " * 60 + "}" * 60, "config.yaml:1: nested too deeply"),
    ],
)
def test_what_is_no_yaml_is_an_error_of_the_same_form(file: Path, text: str, begins: str) -> None:
    assert error_of(file, text).startswith(begins)


def test_a_file_that_cannot_be_read_is_named(file: Path) -> None:
    with pytest.raises(ConfigError, match=r": cannot be read: Is a directory$"):
        load(file.parent, {})
    file.write_bytes(b"demo: \xff")
    with pytest.raises(ConfigError, match=r"config\.yaml: not UTF-8 text: byte 6$"):
        load(file, {})


def test_an_error_names_its_key_as_its_field(file: Path) -> None:
    file.write_text("server: {port: x}")
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert caught.value.field == "server.port"


def test_the_first_mistake_in_the_file_is_the_one_reported(file: Path) -> None:
    assert "demo" in error_of(file, "demo: 1\nserver: {port: x}\nhub: 2")
    assert "port" in error_of(file, "server: {port: x, host: 5}\ndemo: 1")


@pytest.mark.parametrize(
    ("written", "read"),
    [("1:30", "1:30"), ("2024-01-01", "2024-01-01"), ("no", "no"), ("'5'", "5"), ("!!str 5", "5"), ("0x10", "0x10"),
     ("1e5x", "1e5x"), ("|\n   a", "a"), ("~x", "~x"), ("=", "="), ("010", "010"), ("08", "08"),
     ("1e5", "1e5"), ("tRuE", "tRuE"), ("nUll", "nUll"), ("!!str 1.5", "1.5"), ("'true'", "true")],
)  # fmt: skip
def test_text_that_only_old_yaml_takes_for_something_else_stays_text(
    file: Path, written: str, read: str
) -> None:
    assert loaded(file, f"server:\n  api_key: {written}").server.api_key == read


def test_null_takes_a_key_back(file: Path) -> None:
    for null in ("null", "~", "", "Null"):
        assert loaded(file, f"server:\n  api_key: {null}").server.api_key is None


def test_the_budget_in_bytes(file: Path) -> None:
    memory = loaded(file, "").memory
    assert memory.budget_bytes(1000) == 750
    assert msgspec.structs.replace(memory, budget="12.5%").budget_bytes(1000) == 125
    assert msgspec.structs.replace(memory, budget="64").budget_bytes(1000) == 64
    assert loaded(file, "memory: {budget: ' 50 % '}").memory.budget == "50%"


@pytest.mark.parametrize(
    "address",
    ["collector:4318", "ftp://collector", "http://", "http://a b", "http://me:secret@collector",
     "http://collector/?key=secret", "http://collector/#secret", 4318, ["http://secret"]],
)  # fmt: skip
def test_a_collector_is_named_by_a_plain_address_and_a_wrong_one_is_not_repeated(
    tmp_path: Path, address: object
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps({"tracing": {"endpoint": address}}))
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert "tracing.endpoint: expected an address such as" in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:4318", "https://collector.test/otlp/v1/traces", "http://[::1]:1/"]
)
def test_a_collector_may_be_anywhere(tmp_path: Path, address: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps({"tracing": {"endpoint": address}}))
    assert load(file, {}).tracing.endpoint == address
