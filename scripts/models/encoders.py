"""Write tiny encoders in the format of the hub: embedding models as sentence-transformers keeps them, and rerankers."""

import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors.numpy import save_file
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

Shapes = Iterator[tuple[str, tuple[int, ...]]]
_WIDTH, _INNER, _HEADS, _CONTEXT = 32, 64, 2, 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoder:
    """Describe a tiny encoder."""

    config: Mapping[str, Any]
    shapes: Callable[[Mapping[str, Any]], Shapes]
    words: Callable[[Iterable[str]], Tokenizer]
    pooling: str | None = None
    """How a text's vector comes of its tokens' ones; None for a reranker."""
    dense: tuple[int, ...] = ()
    """Widths that the vector goes through at the end."""
    special: Mapping[str, str] = field(default_factory=dict)


def build(
    encoder: Encoder, folder: Path, texts: Iterable[str], overrides: Mapping[str, Any]
) -> Path:
    """Write the folder; every weight follows from its name, so that the same folder comes out anywhere."""
    folder.mkdir(parents=True, exist_ok=True)
    words = encoder.words(texts)
    words.save(str(folder / "tokenizer.json"))
    config = {**encoder.config, "vocab_size": words.get_vocab_size(), **overrides}
    _json(folder / "config.json", config)
    _json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": _CONTEXT,
            **encoder.special,
        },
    )
    weights = {name: drawn(name, shape) for name, shape in encoder.shapes(config)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    if encoder.pooling is not None:
        _sentence_files(folder, encoder.pooling, encoder.dense)
    return folder


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the weight of this name: random, but always the same."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    values = random.standard_normal(shape).astype(np.float32)
    if len(shape) == 1:
        is_scale = name.endswith("weight") and not name.startswith("classifier")
        return (values * 0.1 + (1 if is_scale and "gemma" not in name else 0)).astype(np.float32)
    return values * np.float32(0.3)


def _sentence_files(folder: Path, pooling: str, dense: tuple[int, ...]) -> None:
    modules = [("", "Transformer"), ("1_Pooling", "Pooling")]
    for number, (entering, leaving) in enumerate(zip(dense, dense[1:], strict=False), start=2):
        name = f"{number}_Dense"
        modules.append((name, "Dense"))
        (folder / name).mkdir(exist_ok=True)
        weight = drawn(f"{name}.linear.weight", (leaving, entering))
        save_file({"linear.weight": weight}, folder / name / "model.safetensors")
        identity = "torch.nn.modules.linear.Identity"
        sizes = {"in_features": entering, "out_features": leaving}
        _json(
            folder / name / "config.json", {**sizes, "bias": False, "activation_function": identity}
        )
    modules.append((f"{len(modules)}_Normalize", "Normalize"))
    _json(
        folder / "modules.json",
        [
            {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for n, (path, kind) in enumerate(modules)
        ],
    )
    (folder / "1_Pooling").mkdir(exist_ok=True)
    modes = {"cls": "cls_token", "mean": "mean_tokens", "lasttoken": "lasttoken"}
    _json(
        folder / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": dense[0] if dense else _WIDTH,
            **{f"pooling_mode_{key}": mode == pooling for mode, key in modes.items()},
        },
    )
    _json(
        folder / "sentence_bert_config.json", {"max_seq_length": _CONTEXT, "do_lower_case": False}
    )


def _json(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _frequent(texts: Iterable[str], most: int) -> tuple[list[str], list[str]]:
    """Return all letters and the most frequent words of the texts, in an order that is always the same.

    The trainers of these kinds of tokenizer break ties by chance, and the references would not hold.
    """
    words = Counter(word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower()))
    letters = sorted({letter for word in words for letter in word})
    ranked = sorted(words, key=lambda word: (-words[word], word))
    return letters, [word for word in ranked if len(word) > 1][:most]


def wordpieces(texts: Iterable[str]) -> Tokenizer:
    """Make a tokenizer like BERT's."""
    letters, frequent = _frequent(texts, 300)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    entries = [*special, *letters, *(f"##{letter}" for letter in letters), *frequent]
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    words = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    words.normalizer = normalizers.BertNormalizer(lowercase=True)
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.add_special_tokens(special)
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    words.decoder = decoders.WordPiece()
    return words


def pieces(texts: Iterable[str]) -> Tokenizer:
    """Make a tokenizer like XLM-RoBERTa's."""
    letters, frequent = _frequent(texts, 300)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    entries = ["\u2581", *letters, *(f"\u2581{word}" for word in frequent)]
    scored = [(entry, 0.0) for entry in special]
    scored += [(entry, -2.0 - rank / 100) for rank, entry in enumerate(entries)]
    words = Tokenizer(models.Unigram([*scored, ("<mask>", 0.0)], unk_id=3))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Metaspace()
    words.add_special_tokens([*special, "<mask>"])
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    words.decoder = decoders.Metaspace()
    return words


def byte_pairs(texts: Iterable[str], *, closing: bool = False) -> Tokenizer:
    """Learn a tokenizer like Qwen's; `closing` ends every text with a special token, as its embedders do."""
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<bos>", "<eos>", "<pad>"]
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words.train_from_iterator(texts, trainer)
    words.add_tokens(["<think>", "</think>", "yes", "no"])
    if closing:
        words.post_processor = processors.TemplateProcessing(
            single="$A <|endoftext|>",
            pair="$A $B <|endoftext|>",
            special_tokens=[("<|endoftext|>", 0)],
        )
    words.decoder = decoders.ByteLevel()
    return words


def framed_byte_pairs(texts: Iterable[str]) -> Tokenizer:
    """Learn a tokenizer like Gemma's embedder's: a token before each text and one behind it."""
    words = byte_pairs(texts)
    words.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>",
        pair="<bos> $A $B <eos>",
        special_tokens=[("<bos>", 3), ("<eos>", 4)],
    )
    return words


def closed_byte_pairs(texts: Iterable[str]) -> Tokenizer:
    """Learn a tokenizer like Qwen's embedders'."""
    return byte_pairs(texts, closing=True)


SIZES: Final = {
    "hidden_size": _WIDTH, "num_hidden_layers": 2, "num_attention_heads": _HEADS, "intermediate_size": _INNER,
}  # fmt: skip
CONTEXT: Final = _CONTEXT
