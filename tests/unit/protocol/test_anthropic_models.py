"""Pages of the model list."""

import pytest

from mlxd.protocol.anthropic_models import ModelInfo, ModelPage, page

MODELS = [
    ModelInfo(
        id=name,
        display_name=name,
        created_at="2026-01-01T00:00:00Z",
        max_input_tokens=None,
        max_tokens=None,
    )
    for name in "abcdefg"
]


def ids(found: ModelPage) -> str:
    return "".join(model.id for model in found.data)


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8])
def test_going_forward_shows_each_model_once(limit: int) -> None:
    shown, after = [], None
    while True:
        found = page(MODELS, limit=limit, after=after)
        shown.append(ids(found))
        after = found.last_id
        if not found.has_more:
            break
    assert "".join(shown) == "abcdefg"
    assert len(shown) == -(-len(MODELS) // limit)


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 8])
def test_going_back_shows_each_model_before_once(limit: int) -> None:
    shown, before = "", "f"
    while True:
        found = page(MODELS, limit=limit, before=before)
        shown = ids(found) + shown
        if not found.has_more:
            break
        assert found.first_id is not None
        before = found.first_id
    assert shown == "abcde"


def test_a_page_knows_its_ends() -> None:
    found = page(MODELS, limit=2, after="b")
    assert (ids(found), found.first_id, found.last_id, found.has_more) == ("cd", "c", "d", True)


def test_an_empty_page_has_no_ends() -> None:
    for found in (page([], limit=5), page(MODELS, limit=5, after="g")):
        assert found == ModelPage([], False, None, None)


def test_a_name_that_is_gone_bounds_nothing() -> None:
    assert ids(page(MODELS, limit=3, after="gone")) == "abc"
    assert ids(page(MODELS, limit=3, before="gone")) == "abc"
