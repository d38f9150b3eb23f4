"""A model's kind is read from its config.json, the names beside it and, last, its own name."""

import pytest

from mlxd.config.model_kind import architecture, kind_of
from mlxd.protocol.kinds import ModelKind

VISION: dict[str, object] = {"vision_config": {}}
PROCESSOR = {"preprocessor_config.json"}


@pytest.mark.parametrize(
    ("config", "names", "name", "kind"),
    [
        ({"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"]}, set(), "Qwen3-8B-4bit", ModelKind.TEXT),
        ({"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}, set(), "gpt2", ModelKind.TEXT),
        ({"model_type": "gemma3_text"}, set(), "gemma-3-1b-it", ModelKind.TEXT),
        ({"model_type": "mamba2"}, set(), "embedded-systems-coder", ModelKind.TEXT),
        # vision, and a text model made of one
        ({"model_type": "qwen2_vl"} | VISION, PROCESSOR, "x", ModelKind.VISION),
        ({"model_type": "gemma3"} | VISION, {"processor_config.json"}, "x", ModelKind.VISION),
        ({"model_type": "gemma3"} | VISION, set(), "gemma-3-4b-it-text", ModelKind.TEXT),
        ({"model_type": "llava_qwen2", "mm_vision_tower": "x"}, PROCESSOR, "x", ModelKind.VISION),
        # embedding
        ({"model_type": "bert", "architectures": ["BertModel"]}, set(), "bge-small", ModelKind.EMBEDDING),
        ({"model_type": "xlm-roberta"}, set(), "e5", ModelKind.EMBEDDING),
        ({"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"]}, {"1_Pooling"}, "x", ModelKind.EMBEDDING),
        ({"model_type": "gemma3_text"}, {"config_sentence_transformers.json"}, "x", ModelKind.EMBEDDING),
        ({"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"]}, set(), "o/Qwen3-Embedding-0.6B-4bit-DWQ",
         ModelKind.EMBEDDING),
        ({"model_type": "qwen3", "architectures": ["Qwen3Model"]}, set(), "x", ModelKind.EMBEDDING),
        # rerank
        ({"model_type": "bert", "architectures": ["BertForSequenceClassification"], "num_labels": 1}, set(), "x",
         ModelKind.RERANK),
        ({"model_type": "modernbert", "architectures": ["ModernBertForSequenceClassification"],
          "id2label": {"0": "LABEL_0"}}, {"modules.json"}, "x", ModelKind.RERANK),
        ({"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"]}, {"modules.json"}, "o/Qwen3-Reranker-0.6B",
         ModelKind.RERANK),
        # a classifier is no kind of ours
        ({"model_type": "bert", "architectures": ["BertForSequenceClassification"], "num_labels": 3}, set(), "x", None),
        ({"model_type": "bert", "architectures": ["BertForSequenceClassification"]}, set(), "x", None),
        # sound
        ({"model_type": "whisper"}, PROCESSOR, "x", ModelKind.TRANSCRIPTION),
        ({"n_mels": 80, "n_audio_ctx": 1500}, set(), "whisper-tiny", ModelKind.TRANSCRIPTION),
        ({"target": "nemo.collections.asr.models.EncDecRNNTBPEModel"}, set(), "parakeet", ModelKind.TRANSCRIPTION),
        ({"model_type": "pocket_tts"}, set(), "x", ModelKind.SPEECH),
        ({"istftnet": {}, "plbert": {}}, set(), "Kokoro-82M", ModelKind.SPEECH),
        ({"model_type": "llama"}, set(), "orpheus-3b-0.1-ft-4bit", ModelKind.SPEECH),
        ({"model_type": "qwen2"}, set(), "Spark-TTS-0.5B", ModelKind.SPEECH),
        # images
        ({"_class_name": "ZImagePipeline"}, {"model_index.json"}, "x", ModelKind.IMAGE),
        # nothing
        ({}, set(), "x", None),
        ({"model_type": None}, set(), "x", None),
    ],
)  # fmt: skip
def test_the_kind_of_a_folder(
    config: dict[str, object], names: set[str], name: str, kind: ModelKind | None
) -> None:
    assert kind_of(config, names, name) is kind


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}, "LlamaForCausalLM"),
        ({"architectures": [], "model_type": "llama"}, "llama"),
        ({"architectures": [5], "model_type": "llama"}, "llama"),
        ({"architectures": "Llama"}, ""),
        ({}, ""),
    ],
)
def test_the_architecture_is_the_first_one_named(config: dict[str, object], name: str) -> None:
    assert architecture(config) == name
