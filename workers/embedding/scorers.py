"""Load a model that says how well a document answers a query, and score pairs with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import mlx.core as mx
import numpy as np

from mlxd.protocol.errors import ContextLengthExceeded, InternalError, ModelLoadFailed
from mlxd.workers import limits
from mlxd.workers.embedding.rows import Row, pad
from mlxd.workers.embedding.words import Words

INSTRUCTION: Final = "Given a web search query, retrieve relevant passages that answer the query"
"""What Qwen3's rerankers were trained with where nobody says anything else."""
_JUDGE: Final = (
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".'
)


class Scorer(Protocol):
    """What a reranker can do."""

    takes_instruction: bool

    def row(self, query: str, document: str, instruction: str | None, field: str) -> Row:
        """Return the tokens of a pair; any thread may call this. Raises CallerError naming `field` or the query."""
        ...

    def scores(self, rows: Sequence[Row]) -> list[float]:
        """Return a relevance between 0 and 1 for each row; belongs to the main thread."""
        ...


class Classifier:
    """Score with an encoder that has one label: the relevance."""

    takes_instruction = False

    def __init__(self, model: Any, words: Words, *, typed: bool) -> None:
        self.model = model
        self._words = words
        self._typed = typed

    def row(self, query: str, document: str, instruction: str | None, field: str) -> Row:
        """Return the tokens of both, the document cut off where they are too long."""
        return self._words.pair(query, document, field=field)

    def scores(self, rows: Sequence[Row]) -> list[float]:
        """Return the sigmoid of each row's logit."""
        found = pad(rows, self._words.pad_id)
        types = (
            {"token_type_ids": mx.array(found.types)}
            if self._typed and found.types is not None
            else {}
        )
        output = self.model(mx.array(found.ids), attention_mask=mx.array(found.mask), **types)
        return _finite(mx.sigmoid(output.logits[:, 0].astype(mx.float32)))


class Judge:
    """Score with a chat model that answers yes or no, as Qwen3's rerankers do."""

    takes_instruction = True

    def __init__(self, model: Any, words: Words, ends: tuple[int, int]) -> None:
        self.model = model
        self._words = words
        self._yes, self._no = ends

    def row(self, query: str, document: str, instruction: str | None, field: str) -> Row:
        """Return the tokens of the question put to the model, the document cut off where it is too long."""
        words, asked = self._words, instruction or INSTRUCTION
        head = words.plain(
            f"<|im_start|>system\n{_JUDGE}<|im_end|>\n<|im_start|>user\n<Instruct>: "
        )
        before = words.plain(f"{asked}\n<Query>: {query}\n<Document>: ", special=False)
        after = words.plain("<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")
        room = words.limit - len(head) - len(before) - len(after)
        if room <= 0:
            over = words.beginning(f"{asked}{query}", "query", special=False) is not None
            raise ContextLengthExceeded(words.limit - room, words.limit, "query", at_least=over)
        text = words.plain(document, special=False, field=field)[:room]
        return Row((*head, *before, *text, *after))

    def scores(self, rows: Sequence[Row]) -> list[float]:
        """Return the probability of yes where only yes and no are allowed."""
        found = pad(rows, self._words.pad_id)
        states = self.model.model(mx.array(found.ids))  # padding stands behind what is looked at
        last = mx.array(found.mask.sum(axis=1) - 1)
        states = states[mx.arange(len(rows)), last]
        head = getattr(self.model, "lm_head", None)
        logits = (
            head(states) if head is not None else self.model.model.embed_tokens.as_linear(states)
        )
        logits = logits.astype(mx.float32)
        return _finite(mx.sigmoid(logits[:, self._yes] - logits[:, self._no]))


def _finite(scores: mx.array) -> list[float]:
    found = np.array(scores)
    if not np.isfinite(found).all():
        raise InternalError("the model's output is not finite")
    return [float(score) for score in found]


def load_classifier(folder: Path, config: Mapping[str, Any]) -> Any:
    """Return the classifier with its weights still on disk; raises ModelLoadFailed."""
    from mlx_vlm.reranker_loader import load_sequence_classification_model

    from mlxd.workers.embedding.corrections import correct
    from mlxd.workers.embedding.encoders import as_written_before

    try:
        model = load_sequence_classification_model(
            folder, lazy=True, config=as_written_before(config)
        )
    except Exception as error:
        if limits.is_out_of_memory(error):
            raise
        raise ModelLoadFailed(f"{folder}: {error}") from error
    correct(model, config)
    return model


def answers(words: Words, folder: Path) -> tuple[int, int]:
    """Return the tokens of yes and no; raises ModelLoadFailed where either is more than one."""
    found = [words.plain(text) for text in ("yes", "no")]
    if any(len(tokens) != 1 for tokens in found):
        raise ModelLoadFailed(f"{folder}: the tokenizer has no token for yes and no")
    return found[0][0], found[1][0]
