"""A worker writes what it remembers when it rests, and rests then."""

from pathlib import Path
from typing import Any

from support import tiny_models
from support.deadline import until
from support.worker_process import chat, loaded


def test_an_idle_worker_writes_what_it_remembers_and_then_uses_no_processor_time(
    tmp_path: Path,
) -> None:
    room: dict[str, Any] = {"prompt_cache_memory": 1 << 28, "prompt_cache_disk": 1 << 28}
    folder = tmp_path / "states"
    with loaded(tiny_models.folder("qwen3"), prompt_cache_folder=str(folder), **room) as process:
        with process.client() as client:
            client.post("/v1/chat/completions", json=chat(30, ignore_eos=True))
            until(
                lambda: client.get("/v1/batch/stats").json()["prompt_cache"]["disk"]["written"],
                within=60,
                what="the state is on disk",
            )
        assert list(folder.rglob("*.safetensors"))
        until(lambda: process.cpu_of(1.5) < 0.1, within=60, what="it uses no processor time")
        process.process.kill()
        process.process.join(60)
    with loaded(tiny_models.folder("qwen3"), prompt_cache_folder=str(folder), **room) as process:
        with process.client() as client:
            usage = client.post("/v1/chat/completions", json=chat(3)).json()["usage"]
        assert usage["prompt_tokens_details"]["cached_tokens"] == usage["prompt_tokens"] - 1


def test_a_disk_that_cannot_be_used_is_no_reason_to_go_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with loaded(
        tiny_models.folder("qwen3"),
        prompt_cache_memory=1 << 28,
        prompt_cache_disk=1 << 28,
        prompt_cache_folder=str(tmp_path / "file"),
    ) as process:
        with process.client() as client:
            for _ in range(2):
                usage = client.post("/v1/chat/completions", json=chat(3)).json()["usage"]
        assert usage["prompt_tokens_details"]["cached_tokens"] > 0
        assert "nothing is kept on disk" in process.log
