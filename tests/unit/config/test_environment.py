"""Every scalar has a variable; a wrong value names it, an unknown one is pointed out."""

from pathlib import Path

import pytest

from mlxd.config.environment import OTHERS, unknown, variables
from mlxd.config.load import DEFAULTS, load
from mlxd.config.settings import Settings
from mlxd.protocol.errors import ConfigError


def loaded(**env: str) -> Settings:
    """Return the defaults under an environment."""
    return load(DEFAULTS, env)


def test_there_is_one_for_every_single_value() -> None:
    assert {
        "MLXD_SERVER_PORT",
        "MLXD_MEMORY_MAX_LOADED",
        "MLXD_DEFAULTS_IDLE_TIMEOUT",
        "MLXD_DEMO",
    } <= set(variables())
    assert "MLXD_MODELS" not in variables()
    assert not OTHERS & set(variables())


def test_values_are_read_as_in_the_file() -> None:
    settings = loaded(
        MLXD_SERVER_HOST="::1",
        MLXD_SERVER_PORT=" 8080 ",
        MLXD_SERVER_API_KEY="007",
        MLXD_SERVER_CORS_ORIGINS="http://a, http://b,",
        MLXD_SERVER_MAX_BODY="1MiB",
        MLXD_MEMORY_BUDGET="50%",
        MLXD_MEMORY_MAX_LOADED="3",
        MLXD_DEFAULTS_IDLE_TIMEOUT="1h",
        MLXD_DEMO="false",
        MLXD_HUB="0",
    )
    server = settings.server
    assert (server.host, server.port, server.api_key) == ("::1", 8080, "007")
    assert (server.cors_origins, server.max_body) == (("http://a", "http://b"), 2**20)
    assert (settings.memory.budget, settings.memory.max_loaded) == ("50%", 3)
    assert (settings.defaults.idle_timeout, settings.demo, settings.hub) == (3600.0, False, False)


def test_a_variable_beats_the_file_and_leaves_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("server: {port: 1, host: localhost}")
    server = load(file, {"MLXD_SERVER_PORT": "2"}).server
    assert (server.port, server.host) == (2, "localhost")


def test_an_empty_variable_is_as_if_not_set() -> None:
    assert loaded(MLXD_SERVER_PORT="", MLXD_SERVER_API_KEY=" ") == loaded()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("MLXD_SERVER_PORT", "x", 'server.port: expected a whole number from 0 to 65535, got "x"'),
        ("MLXD_SERVER_PORT", "70000", "server.port: expected a whole number from 0 to 65535, got 70000"),
        ("MLXD_DEMO", "perhaps", 'demo: expected true or false, got "perhaps"'),
        ("MLXD_DEFAULTS_BACKOFF", "soon", 'defaults.backoff: expected a duration such as 30, "90s", "10m", "1h30m" '
         'or -1 (never), got "soon"'),
        ("MLXD_SERVER_LOG_LEVEL", "loud", 'server.log_level: expected one of debug, error, info, warning, got "loud"'),
        ("MLXD_TRACING_RATIO", "2", "tracing.ratio: expected a number of at least 0 and at most 1, got 2.0"),
        ("MLXD_TRACING_RATIO", "nan", "tracing.ratio: expected a number of at least 0 and at most 1, got NaN"),
        ("MLXD_TRACING_RATIO", "all", 'tracing.ratio: expected a number of at least 0 and at most 1, got "all"'),
    ],
)  # fmt: skip
def test_a_wrong_value_names_the_variable(name: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(**{name: value})
    assert caught.value.message == f"{name}: {message}"


def test_a_variable_cannot_mend_a_section_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("server: 5")
    with pytest.raises(ConfigError, match=r"config\.yaml:1: server: expected keys and values"):
        load(file, {"MLXD_SERVER_PORT": "2"})


def test_an_unknown_variable_is_pointed_out() -> None:
    env = {
        "MLXD_SERVRE_PORT": "1", "MLXD_ZZZZZZZZ": "1", "MLXD_SERVER_PORT": "1", "MLXD_URL": "x", "MLXDX": "1",
        "HOME": "/",
    }  # fmt: skip
    assert unknown(env) == [
        "MLXD_SERVRE_PORT: unknown variable; did you mean MLXD_SERVER_PORT?",
        "MLXD_ZZZZZZZZ: unknown variable",
    ]
