"""A picture and a prompt in, another picture out, as mlx-vlm would draw it; what is no picture is refused."""

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from mlx_vlm.generate.edit_image import ImageEditRequest, load_image_edit_model
from support.bad_pictures import hostile
from support.pictures import events, file, pixels
from support.tiny_models import folder

PATH = "/v1/images/edits"
FEW: dict[str, Any] = {"seed": 7, "steps": 4}
HOSTILE = hostile()


def edit(sdk: openai.OpenAI, content: Any, **more: Any) -> Any:
    """Ask for an edit in few steps."""
    known = {name: more.pop(name) for name in ("n", "size", "mask") if name in more}
    return sdk.images.edit(
        model="turbo", image=content, prompt="A blue square", extra_body=FEW | more, **known
    )


def edited(source: Path, **options: Any) -> Any:
    """Return the numbers of what mlx-vlm makes of a file."""
    model = load_image_edit_model(str(folder("z_image_turbo")), evict_text_encoder=False)
    extra = {"strength": options.pop("strength")} if "strength" in options else {}
    request = ImageEditRequest("A blue square", (source,), **FEW, **options, extra=extra)
    return np.asarray(model.edit(request).array)


def test_an_edit_is_what_mlx_vlm_makes_of_the_same_picture(
    sdk: openai.OpenAI, tmp_path: Path
) -> None:
    source = tmp_path / "source.png"
    source.write_bytes(file((80, 60)))
    answer = edit(sdk, ("source.png", source.read_bytes()))
    assert answer.size == "80x48"  # its own shape, in multiples of 16
    assert np.array_equal(pixels(answer.data[0].b64_json), edited(source, width=80, height=48))
    other = edit(sdk, ("source.png", source.read_bytes()), size="64x64", strength=0.9)
    theirs = edited(source, width=64, height=64, strength=0.9)
    assert np.array_equal(pixels(other.data[0].b64_json), theirs)


def test_each_of_several_edits_has_a_seed_of_its_own(sdk: openai.OpenAI) -> None:
    first, second = edit(sdk, file((32, 32)), n=2).data
    assert (first.seed, second.seed) == (7, 8) and first.b64_json != second.b64_json


def test_an_edit_streams_like_a_picture_from_nothing(sdk: openai.OpenAI) -> None:
    stream = sdk.images.edit(
        model="turbo", image=file((32, 32)), prompt="A blue square", stream=True, partial_images=1,
        extra_body={**FEW, "strength": 1},
    )  # fmt: skip
    kinds = [event.type for event in stream]
    assert kinds == ["image_edit.partial_image", "image_edit.completed"]


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "BMP"])
def test_every_kind_of_picture_can_be_edited(kind: str, sdk: openai.OpenAI) -> None:
    assert edit(sdk, file((32, 32), kind)).size == "32x32"


@pytest.mark.parametrize("name", list(HOSTILE))
def test_what_is_no_picture_is_refused(name: str, http: httpx.Client) -> None:
    refused = http.post(
        PATH, data={"model": "turbo", "prompt": "x"}, files={"image": ("a.png", HOSTILE[name])}
    )
    assert refused.status_code == 400, refused.text
    assert refused.json()["error"]["param"] == "image"


def test_a_file_larger_than_allowed_is_refused(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="at most 200000 bytes") as refused:
        edit(sdk, ("a.png", b"\x89PNG" + b"x" * 200_000))
    assert refused.value.param == "image"


@pytest.mark.parametrize(
    ("files", "fields", "field"),
    [
        ({}, {}, "image"),
        ({"image[]": 2}, {}, "image"),
        ({"image": 1, "mask": 1}, {}, "mask"),
        ({"image": 1, "markup": 1}, {}, "markup"),
        ({"image": 1}, {"strength": "0"}, "strength"),
        ({"image": 1}, {"strength": "1e-17"}, "strength"),
        ({"image": 1}, {"n": "99"}, "n"),
        ({"image": 1}, {"n": "many"}, "n"),
        ({"image": 1}, {"input_fidelity": "high"}, "input_fidelity"),
        ({"image": 1}, {"prompt": " "}, "prompt"),
        ({"image": 1}, {"size": "20x20"}, "size"),
        ({"image": 1}, {"background": "transparent"}, "background"),
    ],
)
def test_what_an_edit_does_not_have_is_refused_by_name(
    files: dict[str, int], fields: dict[str, str], field: str, http: httpx.Client
) -> None:
    uploads = [
        (name, ("a.png", file((32, 32)))) for name, count in files.items() for _ in range(count)
    ]
    boundary = {"note": (None, b"so that it is a form")}
    data = {"model": "turbo", "prompt": "A blue square", "steps": "4", **fields}
    refused = http.post(PATH, data=data, files=uploads or boundary)
    assert refused.status_code == 400, refused.text
    assert refused.json()["error"]["param"] == field


def test_a_family_that_edits_nothing_says_so(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="edits no pictures") as refused:
        sdk.images.edit(model="moss", image=file(), prompt="A blue square")
    assert refused.value.param == "model"


def test_an_edit_is_a_form(http: httpx.Client) -> None:
    refused = http.post(PATH, json={"model": "turbo", "prompt": "A blue square"})
    assert refused.status_code == 400 and "multipart/form-data" in refused.text


def test_edits_begin_with_what_goes_wrong(http: httpx.Client) -> None:
    """A stream that cannot begin is an answer with a status, not an event."""
    data = {"model": "turbo", "prompt": "word " * 2000, "stream": "true", "size": "32x32"}
    refused = http.post(PATH, data=data, files={"image": ("a.png", file((32, 32)))})
    assert refused.status_code == 400 and not events(refused.text)
    assert refused.json()["error"]["code"] == "context_length_exceeded"
