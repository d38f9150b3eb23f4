"""The families of encoders of which `make-model` knows a tiny member, with their weights' names on the hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from models import encoders
from models.encoders import (
    CONTEXT,
    SIZES,
    Encoder,
    Shapes,
    byte_pairs,
    closed_byte_pairs,
    framed_byte_pairs,
    pieces,
    wordpieces,
)


def _linear(name: str, leaving: int, entering: int, *, bias: bool = True) -> Shapes:
    yield f"{name}.weight", (leaving, entering)
    if bias:
        yield f"{name}.bias", (leaving,)


def _norm(name: str, width: int, *, bias: bool = True) -> Shapes:
    yield f"{name}.weight", (width,)
    if bias:
        yield f"{name}.bias", (width,)


def bert(config: Mapping[str, Any], prefix: str = "") -> Shapes:
    """Name the weights of BERT and of what has its shape."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    yield f"{prefix}embeddings.word_embeddings.weight", (config["vocab_size"], width)
    yield (
        f"{prefix}embeddings.position_embeddings.weight",
        (config["max_position_embeddings"], width),
    )
    yield f"{prefix}embeddings.token_type_embeddings.weight", (config["type_vocab_size"], width)
    yield from _norm(f"{prefix}embeddings.LayerNorm", width)
    for number in range(config["num_hidden_layers"]):
        layer = f"{prefix}encoder.layer.{number}"
        for part in ("query", "key", "value"):
            yield from _linear(f"{layer}.attention.self.{part}", width, width)
        yield from _linear(f"{layer}.attention.output.dense", width, width)
        yield from _norm(f"{layer}.attention.output.LayerNorm", width)
        yield from _linear(f"{layer}.intermediate.dense", inner, width)
        yield from _linear(f"{layer}.output.dense", width, inner)
        yield from _norm(f"{layer}.output.LayerNorm", width)


def bert_reranker(config: Mapping[str, Any]) -> Shapes:
    """Name the weights of a BERT with one label."""
    width = config["hidden_size"]
    yield from bert(config, "bert.")
    yield from _linear("bert.pooler.dense", width, width)
    yield from _linear("classifier", 1, width)


def roberta_reranker(config: Mapping[str, Any]) -> Shapes:
    """Name the weights of a RoBERTa with one label."""
    width = config["hidden_size"]
    yield from bert(config, "roberta.")
    yield from _linear("classifier.dense", width, width)
    yield from _linear("classifier.out_proj", 1, width)


def modernbert(config: Mapping[str, Any], prefix: str = "") -> Shapes:
    """Name the weights of ModernBERT."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    yield f"{prefix}embeddings.tok_embeddings.weight", (config["vocab_size"], width)
    yield from _norm(f"{prefix}embeddings.norm", width, bias=False)
    for number in range(config["num_hidden_layers"]):
        layer = f"{prefix}layers.{number}"
        if number:
            yield from _norm(f"{layer}.attn_norm", width, bias=False)
        yield from _linear(f"{layer}.attn.Wqkv", 3 * width, width, bias=False)
        yield from _linear(f"{layer}.attn.Wo", width, width, bias=False)
        yield from _norm(f"{layer}.mlp_norm", width, bias=False)
        yield from _linear(f"{layer}.mlp.Wi", 2 * inner, width, bias=False)
        yield from _linear(f"{layer}.mlp.Wo", width, inner, bias=False)
    yield from _norm(f"{prefix}final_norm", width, bias=False)


def modernbert_reranker(config: Mapping[str, Any]) -> Shapes:
    """Name the weights of a ModernBERT with one label."""
    width = config["hidden_size"]
    yield from modernbert(config, "model.")
    yield from _linear("head.dense", width, width, bias=False)
    yield from _norm("head.norm", width, bias=False)
    yield from _linear("classifier", 1, width)


def decoder(config: Mapping[str, Any], prefix: str = "", *, gemma: bool = False) -> Shapes:
    """Name the weights of a Qwen3, or of a Gemma 3, without a head."""
    width, inner, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    yield f"{prefix}embed_tokens.weight", (config["vocab_size"], width)
    norms = ["input_layernorm", "post_attention_layernorm"]
    if gemma:
        norms += ["pre_feedforward_layernorm", "post_feedforward_layernorm"]
    for number in range(config["num_hidden_layers"]):
        layer = f"{prefix}layers.{number}"
        yield from _linear(f"{layer}.self_attn.q_proj", queries, width, bias=False)
        yield from _linear(f"{layer}.self_attn.k_proj", keys, width, bias=False)
        yield from _linear(f"{layer}.self_attn.v_proj", keys, width, bias=False)
        yield from _linear(f"{layer}.self_attn.o_proj", width, queries, bias=False)
        for name in ("q_norm", "k_norm"):
            yield f"{layer}.self_attn.{name}.weight", (head,)
        for name in ("gate_proj", "up_proj"):
            yield from _linear(f"{layer}.mlp.{name}", inner, width, bias=False)
        yield from _linear(f"{layer}.mlp.down_proj", width, inner, bias=False)
        for name in norms:
            yield f"{layer}.{name}.weight", (width,)
    yield f"{prefix}norm.weight", (width,)


def qwen3_reranker(config: Mapping[str, Any]) -> Shapes:
    """Name the weights of a Qwen3 whose head is its embedding."""
    yield from decoder(config, "model.")


def gemma3(config: Mapping[str, Any]) -> Shapes:
    """Name the weights of Gemma's embedder."""
    yield from decoder(config, gemma=True)


_BERT: Final = {
    **SIZES, "model_type": "bert", "architectures": ["BertModel"], "max_position_embeddings": CONTEXT,
    "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "pad_token_id": 0,
}  # fmt: skip
_ROBERTA: Final = {
    **_BERT, "model_type": "roberta", "architectures": ["RobertaModel"], "max_position_embeddings": CONTEXT + 2,
    "type_vocab_size": 1, "layer_norm_eps": 1e-5, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
}  # fmt: skip
_XLM: Final = {**_ROBERTA, "model_type": "xlm-roberta", "architectures": ["XLMRobertaModel"]}
_MODERN: Final = {
    **SIZES, "num_hidden_layers": 4, "model_type": "modernbert", "architectures": ["ModernBertModel"],
    "max_position_embeddings": CONTEXT, "local_attention": 8, "global_attn_every_n_layers": 3,
    "global_rope_theta": 160000.0, "local_rope_theta": 10000.0, "norm_eps": 1e-5, "pad_token_id": 0,
    "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3, "classifier_pooling": "mean",
}  # fmt: skip
_QWEN3: Final = {
    **SIZES, "model_type": "qwen3", "architectures": ["Qwen3Model"], "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": CONTEXT, "rope_theta": 1000000.0,
    "rms_norm_eps": 1e-6, "tie_word_embeddings": True, "hidden_act": "silu", "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
_GEMMA: Final = {
    **_QWEN3, "model_type": "gemma3_text", "architectures": ["Gemma3TextModel"], "num_hidden_layers": 6,
    "sliding_window": 32, "sliding_window_pattern": 6, "_sliding_window_pattern": 6, "query_pre_attn_scalar": 16,
    "rope_local_base_freq": 10000.0, "use_bidirectional_attention": True, "hidden_activation": "gelu_pytorch_tanh",
    "bos_token_id": 3, "eos_token_id": 4, "pad_token_id": 5,
}  # fmt: skip

_BERT_NAMES: Final = {
    "pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]",
}  # fmt: skip
_XLM_NAMES: Final = {
    "pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>",
}  # fmt: skip
_QWEN_NAMES: Final = {"pad_token": "<|endoftext|>", "eos_token": "<|im_end|>"}
_GEMMA_NAMES: Final = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>"}


def _judging(config: Mapping[str, Any], head: str) -> dict[str, Any]:
    return {
        **config,
        "architectures": [head],
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
    }


ENCODERS: Final[Mapping[str, Encoder]] = {
    "bert": Encoder(
        config=_BERT, shapes=bert, words=wordpieces, pooling="mean", special=_BERT_NAMES
    ),
    "bert_cls": Encoder(
        config=_BERT, shapes=bert, words=wordpieces, pooling="cls", special=_BERT_NAMES
    ),
    "roberta": Encoder(
        config=_ROBERTA, shapes=bert, words=pieces, pooling="mean", special=_XLM_NAMES
    ),
    "xlm_roberta": Encoder(
        config=_XLM, shapes=bert, words=pieces, pooling="cls", special=_XLM_NAMES
    ),
    "modernbert": Encoder(
        config=_MODERN, shapes=modernbert, words=wordpieces, pooling="mean", special=_BERT_NAMES
    ),
    "modernbert_cls": Encoder(
        config=_MODERN, shapes=modernbert, words=wordpieces, pooling="cls", special=_BERT_NAMES
    ),
    "qwen3_embedding": Encoder(
        config=_QWEN3,
        shapes=decoder,
        words=closed_byte_pairs,
        pooling="lasttoken",
        special=_QWEN_NAMES,
    ),
    "embeddinggemma": Encoder(
        config=_GEMMA,
        shapes=gemma3,
        words=framed_byte_pairs,
        pooling="mean",
        dense=(32, 128, 32),
        special=_GEMMA_NAMES,
    ),  # fmt: skip
    "bert_reranker": Encoder(
        config=_judging(_BERT, "BertForSequenceClassification"),
        shapes=bert_reranker,
        words=wordpieces,
        special=_BERT_NAMES,
    ),  # fmt: skip
    "xlm_roberta_reranker": Encoder(
        config=_judging(_XLM, "XLMRobertaForSequenceClassification"),
        shapes=roberta_reranker,
        words=pieces,
        special=_XLM_NAMES,
    ),  # fmt: skip
    "modernbert_reranker": Encoder(
        config=_judging(_MODERN, "ModernBertForSequenceClassification"),
        shapes=modernbert_reranker,
        words=wordpieces,
        special=_BERT_NAMES,
    ),  # fmt: skip
    "qwen3_reranker": Encoder(
        config={**_QWEN3, "architectures": ["Qwen3ForCausalLM"]},
        shapes=qwen3_reranker,
        words=byte_pairs,
        special=_QWEN_NAMES,
    ),  # fmt: skip
}


def write(kind: str, folder: Path, seed: int, overrides: dict[str, Any]) -> None:
    """Write a tiny encoder; its weights follow from their names, so that `seed` changes nothing."""
    from models.tiny import SAMPLES

    encoders.build(ENCODERS[kind], folder, SAMPLES * 20, overrides)
