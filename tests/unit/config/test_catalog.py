"""Every name means the model people think it means, and what cannot be served says why."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from support.model_folders import Hub, text_files, write

from mlxd.config import demo
from mlxd.config.catalog import Catalog, ModelSpec, build
from mlxd.config.hub_cache import HubCache
from mlxd.config.load import load
from mlxd.config.paths import Paths
from mlxd.config.settings import PromptCache
from mlxd.protocol.errors import ModelLoadFailed, ModelNotFound
from mlxd.protocol.kinds import ModelKind
from mlxd.protocol.units import NEVER

QWEN = "mlx-community/Qwen3-8B-4bit"


class House:
    """A folder with a configuration, a cache and models."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.hub = Hub(root / "hub")
        self.now = 0.0
        self.config = root / "config.yaml"

    def catalog(self, text: str = "", *, embedded: bool = False) -> Catalog:
        """Return the catalogue of a configuration."""
        self.config.write_text(text)
        settings = load(self.config, {"MLXD_DEMO": str(embedded).lower()})
        return Catalog(settings, HubCache(self.hub.root), now=lambda: self.now)

    def folder(self, name: str, **config: object) -> Path:
        """Put a text model into a folder."""
        return write(self.root / name, text_files(**config))


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Give an empty house."""
    return House(tmp_path)


def ids(catalog: Catalog) -> list[str]:
    """Return the ids people are offered."""
    return [spec.id for spec in catalog.models()]


def error_of(spec: ModelSpec) -> str:
    """Return a model's error."""
    assert spec.error is not None
    return spec.error


def test_an_empty_house_has_no_models(house: House) -> None:
    catalog = house.catalog()
    assert (catalog.models(), catalog.names()) == ((), ())
    with pytest.raises(ModelNotFound, match="`mlxctl list` shows all names"):
        catalog.resolve("anything")


def test_a_cached_model_is_served_under_its_id_as_the_defaults_say(house: House) -> None:
    snapshot = house.hub.pull(QWEN)
    (spec,) = house.catalog("defaults: {idle_timeout: 5m, max_batch: 7}").models()
    assert spec == ModelSpec(
        id=QWEN,
        kind=ModelKind.TEXT,
        path=snapshot,
        idle_timeout=300.0,
        max_batch=7,
        prompt_cache=PromptCache(memory=2 * 10**9, disk=10**10),
        context_length=4096,
        weights_bytes=100,
        source="hub",
        hub_id=QWEN,
        revision="c0ffee",
        architecture="Qwen3ForCausalLM",
        created=spec.created,
    )
    assert spec.created > 1_600_000_000
    spec.check()


def test_a_source_in_another_case_is_the_same_model_on_the_disk_of_a_mac(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    # APFS finds a name in any case and lists it as it was made; here a link plays that part.
    snapshot = house.hub.pull(QWEN)
    other = HubCache.folder_name(QWEN.lower())
    (house.hub.root / other).symlink_to(house.hub.place(QWEN))
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: [n for n in listed(path) if n != other])
    catalog = house.catalog(f"models: [{{id: mine, source: {QWEN.lower()}}}]")
    assert ids(catalog) == ["mine"]
    spec = catalog.resolve("mine")
    assert (spec.hub_id, spec.path, spec.error) == (QWEN, snapshot, None)
    assert catalog.resolve(QWEN) is spec


def test_the_cache_can_be_left_out(house: House) -> None:
    house.hub.pull(QWEN)
    catalog = house.catalog(f"hub: false\nmodels: [{{id: mine, source: {QWEN}}}]")
    assert ids(catalog) == ["mine"]
    assert catalog.resolve("mine").error is None


def test_an_entry_says_how_its_model_is_run(house: House) -> None:
    folder = house.folder("models/a")
    draft = house.hub.pull("org/small")
    write(house.root, {"chat.jinja": "{{ messages }}", "lora/adapters.safetensors": b"w"})
    (spec, *_) = house.catalog(
        """
        models:
          - id: mine
            source: ./models/a
            aliases: [other, "my-*"]
            idle_timeout: never
            pin: true
            max_batch: 3
            context_length: 512
            prompt_cache: {memory: 1GB}
            draft_model: org/small
            prompt_lookup: 8
            adapter: ./lora
            chat_template: ./chat.jinja
        """
    ).models()
    assert (spec.id, spec.path, spec.source, spec.error) == ("mine", folder, "config", None)
    assert spec.aliases == ("other", "my-*")
    assert (spec.idle_timeout, spec.pin, spec.max_batch) == (NEVER, True, 3)
    assert spec.context_length == 512
    assert spec.prompt_cache == PromptCache(memory=10**9, disk=10**10)
    assert spec.draft_model == draft
    assert spec.draft_name == "org/small"
    assert spec.prompt_lookup == 8
    assert spec.adapter == house.root / "lora"
    assert spec.chat_template == "{{ messages }}"


class TestNames:
    """Exact names beat patterns, longer patterns beat shorter ones, and case counts."""

    @pytest.fixture
    def catalog(self, house: House) -> Catalog:
        """Give three models with overlapping names."""
        for name in ("a", "b", "c"):
            house.folder(name)
        house.hub.pull("claude-org/claude-local")
        return house.catalog(
            """
            models:
              - {id: a, source: ./a, aliases: ["claude-*", gpt-4o, "?", org/x]}
              - {id: b, source: ./b, aliases: ["claude-haiku-*"]}
              - {id: c, source: ./c, aliases: [claude-haiku-1, "cl*"]}
            """
        )

    @pytest.mark.parametrize(
        ("name", "found"),
        [
            ("a", "a"), ("b", "b"), ("gpt-4o", "a"), ("org/x", "a"), ("claude-opus", "a"), ("claude-haiku-2", "b"),
            ("claude-haiku-1", "c"), ("clam", "c"), ("z", "a"), ("claude-org/claude-local", "claude-org/claude-local"),
        ],
    )  # fmt: skip
    def test_a_name_means_one_model(self, catalog: Catalog, name: str, found: str) -> None:
        assert catalog.resolve(name).id == found

    @pytest.mark.parametrize("name", ["Gpt-4o", "GPT-4O", "gpt-4o ", "gpt-4", "", "../a", "aa"])
    def test_any_other_name_means_none(self, catalog: Catalog, name: str) -> None:
        with pytest.raises(ModelNotFound) as caught:
            catalog.resolve(name)
        assert caught.value.field == "model"

    def test_exact_names_are_listed_in_order_of_precedence(self, catalog: Catalog) -> None:
        assert catalog.names() == (
            "a", "b", "c", "gpt-4o", "org/x", "claude-haiku-1", "claude-org/claude-local",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("mlx-community/qwen3-8b-4bit", (QWEN,)),
        ("qwen3-8b-4bit", (QWEN,)),
        ("Qwen3-8B", (QWEN,)),
        ("other-org/Qwen3-8B-4bit", (QWEN,)),
        ("GPT-4", ("gpt-4o",)),
        ("zzzz", ()),
        ("q" * 1_000_000, ()),
    ],
)
def test_near_names_are_offered_whatever_their_case(
    house: House, asked: str, near: tuple[str, ...]
) -> None:
    house.hub.pull(QWEN)
    house.folder("a")
    catalog = house.catalog("models: [{id: a, source: ./a, aliases: [gpt-4o]}]")
    with pytest.raises(ModelNotFound) as caught:
        catalog.resolve(asked)
    assert caught.value.near == near


class TestACachedModelWithAnEntry:
    """It is one model, not two."""

    def test_the_hub_id_means_the_entry(self, house: House) -> None:
        house.hub.pull(QWEN)
        catalog = house.catalog(f"models: [{{id: mine, source: {QWEN}, pin: true}}]")
        assert ids(catalog) == ["mine"]
        assert catalog.resolve(QWEN).id == "mine"
        assert QWEN in catalog.names()

    def test_an_entry_may_be_named_by_the_hub_id_alone(self, house: House) -> None:
        house.hub.pull(QWEN)
        catalog = house.catalog(f"models: [{{id: {QWEN}, pin: true}}]")
        assert ids(catalog) == [QWEN]
        assert catalog.resolve(QWEN).pin

    @pytest.mark.parametrize("change", ["adapter: ./lora", "chat_template: ./chat.jinja"])
    def test_one_that_changes_the_model_does_not_stand_for_it(
        self, house: House, change: str
    ) -> None:
        house.hub.pull(QWEN)
        write(house.root, {"chat.jinja": "x", "lora/adapters.safetensors": b"w"})
        catalog = house.catalog(f"models: [{{id: mine, source: {QWEN}, {change}}}]")
        assert ids(catalog) == ["mine", QWEN]
        assert catalog.resolve(QWEN).id == QWEN

    def test_the_first_of_two_entries_stands_for_it(self, house: House) -> None:
        house.hub.pull(QWEN)
        catalog = house.catalog(f"models: [{{id: a, source: {QWEN}}}, {{id: b, source: {QWEN}}}]")
        assert catalog.resolve(QWEN).id == "a"

    def test_an_alias_may_take_a_cached_models_name(self, house: House) -> None:
        house.hub.pull(QWEN)
        house.folder("a")
        catalog = house.catalog(f"models: [{{id: a, source: ./a, aliases: [{QWEN}]}}]")
        assert ids(catalog) == ["a"]
        assert catalog.resolve(QWEN).id == "a"


class TestWhatCannotBeServed:
    """It keeps the daemon from nothing; a request for it says why."""

    def test_a_source_that_is_not_cached_hints_at_pull(self, house: House) -> None:
        spec = house.catalog(f"models: [{{id: mine, source: {QWEN}}}]").resolve("mine")
        message = f"model mine cannot be loaded from {house.hub.place(QWEN)}: it is not in the local Hugging Face cache"
        assert spec.error == f"{message}; `mlxctl pull {QWEN}` gets it"
        with pytest.raises(ModelLoadFailed, match="mlxctl pull"):
            spec.check()

    def test_a_folder_that_is_not_there_is_named(self, house: House) -> None:
        spec = house.catalog("models: [{id: mine, source: ./gone}]").resolve("mine")
        path = house.root / "gone"
        assert spec.error == f"model mine cannot be loaded from {path}: there is no such folder"

    def test_a_half_download_is_found_but_not_offered(self, house: House) -> None:
        files = text_files()
        del files["model.safetensors"]
        house.hub.pull(QWEN, files)
        catalog = house.catalog()
        assert (catalog.models(), catalog.names()) == ((), ())
        assert f"`mlxctl pull {QWEN}` gets it" in error_of(catalog.resolve(QWEN))
        with pytest.raises(ModelNotFound, match="mlxctl list"):
            catalog.resolve(QWEN.lower())

    def test_what_no_pull_would_mend_does_not_hint_at_one(self, house: House) -> None:
        house.hub.pull(QWEN, text_files(model_type="no_such_type"))
        error = error_of(house.catalog().resolve(QWEN))
        assert "no_such_type" in error and "mlxctl pull" not in error

    def test_a_model_that_draws_by_a_pipeline_not_served_is_refused_by_its_name(
        self, house: House
    ) -> None:
        index = {"_class_name": "SDPipeline"}
        house.hub.pull(
            "org/painter", {"model_index.json": index, "unet/model.safetensors": b"w" * 9}
        )
        assert "the pipeline 'SDPipeline' that draw are not served; those with" in error_of(
            house.catalog().resolve("org/painter")
        )

    def test_an_encoder_that_was_never_compared_is_refused_by_its_type(self, house: House) -> None:
        house.hub.pull("org/encoder", text_files(model_type="deberta_v2"))
        assert "'deberta_v2' is none of those served" in error_of(
            house.catalog().resolve("org/encoder")
        )

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ("adapter: ./gone", "model a: adapter: HERE/gone has no adapters.safetensors"),
            ("chat_template: ./gone", "model a: chat_template: HERE/gone cannot be read: "),
            ("draft_model: org/gone", "model a: draft_model: org/gone cannot be loaded: it is not in the local"),
        ],
    )  # fmt: skip
    def test_a_part_that_is_missing_is_named(self, house: House, change: str, says: str) -> None:
        house.folder("a")
        spec = house.catalog(f"models: [{{id: a, source: ./a, {change}}}]").resolve("a")
        assert error_of(spec).startswith(says.replace("HERE", str(house.root)))

    def test_only_what_writes_text_looks_ahead_in_it(self, house: House) -> None:
        house.folder("a")
        write(house.root / "ear", text_files(model_type="whisper"))
        listed = house.catalog(
            """
            models:
              - {id: a, source: ./a, draft_model: ./ear}
              - {id: ear, source: ./ear, draft_model: ./a}
              - {id: other, source: ./ear, prompt_lookup: 4}
            """
        )
        assert "draft_model: " in error_of(listed.resolve("a"))
        for name, key in (("ear", "draft_model"), ("other", "prompt_lookup")):
            assert f"model {name}: {key}: " in error_of(listed.resolve(name))

    def test_what_guesses_counts_as_the_models_own_weights(self, house: House) -> None:
        house.folder("a")
        house.folder("small")
        listed = house.catalog(
            """
            models:
              - {id: plain, source: ./a}
              - {id: small, source: ./small}
              - {id: guessing, source: ./a, draft_model: ./small}
            """
        )
        plain, small, both = (listed.resolve(name) for name in ("plain", "small", "guessing"))
        assert both.weights_bytes == plain.weights_bytes + small.weights_bytes > plain.weights_bytes
        assert both.draft_bytes == small.weights_bytes
        tokens = [spec.kv_bytes_per_token or 0 for spec in (plain, small, both)]
        assert tokens[2] == tokens[0] + tokens[1]

    def test_an_entry_with_an_error_does_not_hide_a_cached_model(self, house: House) -> None:
        house.hub.pull(QWEN)
        catalog = house.catalog(f"models: [{{id: mine, source: {QWEN}, draft_model: org/gone}}]")
        assert catalog.resolve(QWEN).error is None


class TestLookingAgain:
    """What is pulled while the daemon runs is there at the next question, at most a second later."""

    def test_a_new_model_is_found_by_asking_for_it(self, house: House) -> None:
        catalog = house.catalog()
        house.hub.pull(QWEN)
        with pytest.raises(ModelNotFound):
            catalog.resolve(QWEN)
        house.now += 1
        assert catalog.resolve(QWEN).error is None

    def test_a_model_that_became_complete_is_found_by_asking_for_it(self, house: House) -> None:
        files = text_files()
        weights = {"model.safetensors": files.pop("model.safetensors")}
        house.hub.pull(QWEN, files)
        catalog = house.catalog(f"models: [{{id: mine, source: {QWEN}}}]")
        assert catalog.resolve("mine").error is not None
        house.hub.pull(QWEN, weights)
        house.now += 1
        assert catalog.resolve("mine").error is None

    def test_a_list_sees_it_after_a_rescan(self, house: House) -> None:
        catalog = house.catalog()
        house.hub.pull(QWEN)
        catalog.rescan()
        assert ids(catalog) == []
        catalog.rescan(force=True)
        assert ids(catalog) == [QWEN]

    def test_where_nothing_changed_the_same_models_stay(self, house: House) -> None:
        house.hub.pull(QWEN)
        house.hub.age(QWEN)
        catalog = house.catalog()
        before = catalog.models()
        catalog.rescan(force=True)
        assert catalog.models() is before


class TestTheEmbeddedModel:
    """It is served as any other, if this build has it."""

    @pytest.fixture(autouse=True)
    def embedded(self, house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        """Stand in for the folder, so that the test runs before the model is trained."""
        folder = house.root / "embedded"
        monkeypatch.setattr(demo, "FOLDER", folder)
        yield folder

    def test_it_has_a_name_and_an_alias(self, house: House) -> None:
        house.folder("embedded")
        catalog = house.catalog(embedded=True)
        (spec,) = catalog.models()
        assert (spec.id, spec.aliases, spec.source, spec.error) == (
            "mlxd-demo",
            ("demo",),
            "embedded",
            None,
        )
        assert catalog.resolve("demo") is spec

    def test_it_can_be_left_out(self, house: House) -> None:
        house.folder("embedded")
        assert ids(house.catalog(embedded=False)) == []

    def test_a_build_without_it_does_not_offer_it(self, house: House) -> None:
        assert ids(house.catalog(embedded=True)) == []

    def test_a_configured_model_may_take_its_names(self, house: House) -> None:
        house.folder("embedded")
        house.folder("a")
        catalog = house.catalog("models: [{id: demo, source: ./a}]", embedded=True)
        assert ids(catalog) == ["demo", "mlxd-demo"]
        assert catalog.resolve("demo").id == "demo"


def test_the_catalogue_is_built_from_settings_and_paths(house: House) -> None:
    house.hub.pull(QWEN)
    env = {"MLXD_HOME": str(house.root), "HF_HUB_CACHE": str(house.hub.root)}
    settings = msgspec.structs.replace(load(None, env), demo=False)
    assert ids(build(settings, Paths.of(env))) == [QWEN]


def test_the_configuration_needs_nothing_heavy() -> None:
    """The commands import it, and must start quickly."""
    script = """
import sys
import mlxd.config.load, mlxd.config.catalog
heavy = {"starlette", "uvicorn", "httpx", "click", "psutil", "asyncio", "mlx", "mlx_lm", "numpy", "huggingface_hub"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
