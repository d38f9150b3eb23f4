"""A folder that holds no whole model that draws fails its requests with a reason, and is not served half."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import mlx.core as mx
import pytest
from support.tiny_models import copy

BODY = {"prompt": "A fox", "size": "32x32", "steps": 3}


def cut(folder: Path) -> None:
    """Keep half of a file's bytes."""
    file = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def rename(folder: Path) -> None:
    """Give a weight a name that the network does not know."""
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    found: Any = mx.load(str(file))
    found["no.such.weight"] = found.pop("decoder.conv_in.weight")
    mx.eval(found)
    mx.save_safetensors(str(file), found)


def omit(folder: Path) -> None:
    """Leave a weight out, as an interrupted conversion would."""
    file = folder / "text_encoder" / "model.safetensors"
    found: Any = mx.load(str(file))
    del found["layers.1.mlp.up_proj.weight"]
    mx.eval(found)
    mx.save_safetensors(str(file), found)


def spoil(folder: Path) -> None:
    """Make a weight no number."""
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    found: Any = mx.load(str(file))
    found["decoder.conv_in.bias"] = found["decoder.conv_in.bias"] * mx.nan
    mx.eval(found)
    mx.save_safetensors(str(file), found)


def lose_tokenizer(folder: Path) -> None:
    """Take the tokenizer away."""
    for file in (folder / "tokenizer").iterdir():
        file.unlink()


def want_code(folder: Path) -> None:
    """Have the tokenizer name a class of the folder's own."""
    file = folder / "tokenizer" / "tokenizer_config.json"
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | {"auto_map": {"AutoTokenizer": ["evil.Words", None]}}))
    (folder / "tokenizer" / "evil.py").write_text("raise SystemExit('it ran')")


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "cut": (cut, ""),
    "renamed": (rename, ""),
    "left out": (omit, "its text_encoder has no layers.1.mlp.up_proj.weight"),
    "spoilt": (spoil, "not finite"),
    "wordless": (lose_tokenizer, ""),
    "coded": (want_code, "trust_remote_code"),
}


@pytest.mark.timeout(900)
def test_each_fault_is_a_reason_and_none_is_a_picture(tmp_path: Path, running_daemon: Any) -> None:
    for name, (damage, _) in FAULTS.items():
        damage(copy("z_image_turbo", tmp_path / name))
    models = [{"id": name.replace(" ", "-"), "source": str(tmp_path / name)} for name in FAULTS]
    daemon = running_daemon({"models": models, "hub": False})
    with httpx.Client(base_url=daemon.url, timeout=200) as client:
        for name, (_, says) in FAULTS.items():
            refused = client.post(
                "/v1/images/generations", json=BODY | {"model": name.replace(" ", "-")}
            )
            assert refused.status_code == 503, (name, refused.text)
            error = refused.json()["error"]
            assert error["code"] == "model_load_failed" and says in error["message"], (name, error)


def test_a_pipeline_that_is_not_served_is_listed_with_the_reason(
    tmp_path: Path, running_daemon: Any
) -> None:
    made = copy("z_image_turbo", tmp_path / "sd")
    (made / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    daemon = running_daemon({"models": [{"id": "sd", "source": str(made)}], "hub": False})
    listed = daemon.ctl("list")
    assert "StableDiffusionPipeline" in listed.stdout + listed.stderr
    with httpx.Client(base_url=daemon.url, timeout=100) as client:
        refused = client.post("/v1/images/generations", json=BODY | {"model": "sd"})
        assert refused.status_code >= 400 and "StableDiffusionPipeline" in refused.text


@pytest.mark.parametrize("route", ["/v1/chat/completions", "/v1/embeddings"])
def test_a_model_that_draws_does_nothing_else(route: str, http: httpx.Client) -> None:
    body = {"model": "turbo", "input": "x", "messages": [{"role": "user", "content": "x"}]}
    refused = http.post(route, json=body)
    assert refused.status_code == 400 and refused.json()["error"]["param"] == "model"
