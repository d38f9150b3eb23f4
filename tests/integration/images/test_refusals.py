"""What a model that draws does not have is refused by name, before a step is done."""

from typing import Any

import httpx
import pytest
from support.tiny_models import folder

PATH = "/v1/images/generations"
BODY: dict[str, Any] = {"model": "brush", "prompt": "A fox", "size": "32x32", "steps": 3}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"prompt": "  "}, "prompt"),
        ({"prompt": "a" * 32_001}, "prompt"),
        ({"prompt": "word " * 2000}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"size": "big"}, "size"),
        ({"size": "-16x16"}, "size"),
        ({"size": "0x16"}, "size"),
        ({"size": "40x32"}, "size"),
        ({"size": "208x192"}, "size"),
        ({"size": "144x16"}, "size"),
        ({"size": "999999x999999"}, "size"),
        ({"seed": -1}, "seed"),
        ({"seed": 1 << 60}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"steps": 1}, "steps"),
        ({"steps": 251}, "steps"),
        ({"guidance": -1}, "guidance"),
        ({"guidance": 31}, "guidance"),
        ({"model": "turbo", "guidance": 2}, "guidance"),
        ({"model": "turbo", "negative_prompt": "blue"}, "negative_prompt"),
        ({"guidance": 1, "negative_prompt": "blue"}, "negative_prompt"),
        ({"negative_prompt": "word " * 2000}, "negative_prompt"),
        ({"response_format": "url"}, "response_format"),
        ({"response_format": "file"}, "response_format"),
        ({"output_format": "gif"}, "output_format"),
        ({"output_compression": 50}, "output_compression"),
        ({"output_format": "jpeg", "output_compression": 101}, "output_compression"),
        ({"partial_images": 1}, "partial_images"),
        ({"stream": True, "partial_images": 4}, "partial_images"),
        ({"stream": True, "prompt": "word " * 2000}, "prompt"),
        ({"background": "transparent"}, "background"),
        ({"quality": "hd"}, "quality"),
        ({"style": "vivid"}, "style"),
        ({"guidance_scale": 3}, "guidance_scale"),
        ({"num_inference_steps": 3}, "num_inference_steps"),
        ({"image": "x"}, "image"),
        ({"mask": "x"}, "mask"),
        ({"model": "pen"}, "model"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(
    fields: dict[str, Any], field: str, http: httpx.Client
) -> None:
    refused = http.post(PATH, json=BODY | fields)
    assert refused.status_code == 400, refused.text
    assert refused.json()["error"]["param"] == field


@pytest.mark.parametrize(
    "fields",
    [
        {"background": "opaque", "quality": "auto", "response_format": "b64_json", "style": None},
        {"moderation": "low", "user": "someone", "a_field_nobody_knows": 1},
        {"output_compression": 100, "partial_images": 0, "n": None, "stream": False},
    ],
)
def test_what_asks_for_nothing_changes_nothing(fields: dict[str, Any], http: httpx.Client) -> None:
    seeded = BODY | {"seed": 3}
    drawn = [http.post(PATH, json=body) for body in (seeded, seeded | fields)]
    plain, other = (answer.json()["data"] for answer in drawn)
    assert plain == other


def test_a_picture_too_large_for_the_memory_is_refused_with_what_it_takes(
    running_daemon: Any,
) -> None:
    daemon = running_daemon(
        {
            "models": [{"id": "brush", "source": str(folder("z_image_turbo"))}],
            "hub": False,
            "memory": {"budget": "600MB"},
        }
    )
    with httpx.Client(base_url=daemon.url, timeout=100) as client:
        refused = client.post(PATH, json=BODY | {"size": "1024x1024"})
        assert refused.status_code == 400 and refused.json()["error"]["param"] == "size"
        assert "are left beside the model" in refused.text
        assert client.post(PATH, json=BODY).status_code == 200
