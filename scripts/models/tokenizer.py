"""Train and save a small byte-level BPE tokenizer in the ordinary on-disk format."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

# Digits stand alone, and a capitalised word never takes the space before it: a name is then the
# same tokens in a question (`in Paris`) and in a tool call (`"Paris"`), so it can be copied.
SPLIT: Final = (
    r", (?=\p{N})|\p{N}| ?[\p{Ll}\p{Lo}\p{Lm}\p{M}]+|[\p{Lu}\p{Lt}][\p{Ll}\p{M}]*|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens that a family adds to the plain ones, and the template that uses them."""

    special: tuple[str, ...]
    added: tuple[str, ...]
    template: str
    bos: str | None
    eos: str
    pad: str | None = None
    stops: tuple[str, ...] = ()


def train(texts: Iterable[str], size: int, vocabulary: Vocabulary) -> Tokenizer:
    """Learn merges from the texts until the vocabulary has `size` entries."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(vocabulary.special) - len(vocabulary.added),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens(
        [AddedToken(text, special=True, normalized=False) for text in vocabulary.special]
    )
    tokenizer.add_tokens(
        [AddedToken(text, special=False, normalized=False) for text in vocabulary.added]
    )
    return tokenizer


def save(
    tokenizer: Tokenizer, vocabulary: Vocabulary, folder: Path, context_length: int
) -> dict[str, Any]:
    """Write the tokenizer files into a model folder; give what tokenizer_config.json holds."""
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    ids = tokenizer.get_vocab()
    flags = {"normalized": False, "lstrip": False, "rstrip": False, "single_word": False}
    added = (*vocabulary.special, *vocabulary.added)
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context_length,
        "add_bos_token": vocabulary.bos is not None,
        "bos_token": vocabulary.bos,
        "eos_token": vocabulary.eos,
        "pad_token": vocabulary.pad or vocabulary.eos,
        "clean_up_tokenization_spaces": False,
        "added_tokens_decoder": {
            str(ids[text]): {"content": text, "special": text in vocabulary.special, **flags}
            for text in added
        },
        "chat_template": vocabulary.template,
    }
    names = {name: config[name] for name in ("bos_token", "eos_token", "pad_token") if config[name]}
    write_json(folder / "tokenizer_config.json", config)
    write_json(folder / "special_tokens_map.json", names)
    return config


def write_json(path: Path, value: object) -> None:
    """Write a JSON file the way model folders have them."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
