"""Tell a model's kind from its config.json, the names beside it and its own name; no weight is read.

Folders say what they are in many ways. The surest come first: the layout, then the head, then the architecture, and the
model's name only where two kinds share one architecture.
"""

import re
from collections.abc import Mapping, Set

from mlxd.protocol.kinds import ModelKind

_SENTENCE_TRANSFORMERS = {"modules.json", "config_sentence_transformers.json", "1_Pooling"}
_PROCESSORS = {
    "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json",
}  # fmt: skip
"""A conversion that dropped the vision tower drops these too, and keeps `vision_config`."""
_VISION_KEYS = {
    "vision_config", "vision_tower", "mm_vision_tower", "vision_backbone", "vision_encoder", "img_processor",
}  # fmt: skip
_ENCODERS = {
    "albert", "bert", "bge_m3", "clip", "colidefics3", "colqwen2_5", "deberta_v2", "distilbert", "electra",
    "embedding_gemma2", "lfm2_colbert", "lfm2_encoder", "llama_bidirec", "llama_nemotron_vl", "modernbert", "mpnet",
    "new", "nomic_bert", "qwen3_vl_embedding", "roberta", "siglip", "siglip2", "xlm_roberta",
}  # fmt: skip
_TRANSCRIPTION = {
    "canary", "cohere_asr", "fireredasr2", "fun_asr_nano", "glmasr", "granite_speech", "granite_speech5_ctc",
    "granite_speech_nar", "higgs_audio_3", "lasr_ctc", "mega_asr", "mimo_v2_asr", "ming_v3_asr", "mms", "moonshine",
    "moss_transcribe_diarize", "nemotron_asr", "parakeet", "phonon", "phonon2", "qwen3_asr", "qwen3_forced_aligner",
    "sensevoice", "vibevoice_asr", "voxtral", "voxtral_realtime", "wav2vec2", "whisper",
}  # fmt: skip
_SPEECH = {
    "arktts", "bark", "breeze_tts", "chatterbox", "chatterbox_turbo", "csm", "dia", "echo_tts", "fish_qwen3_omni",
    "higgs_audio", "higgs_audio_v3", "indextts", "irodori_tts", "kitten_tts", "kokoro", "kugelaudio", "lingv3_tts",
    "longcat_audiodit", "melotts", "moss_tts", "moss_tts_delay", "moss_tts_local", "moss_tts_nano", "omnivoice",
    "outetts", "pocket_tts", "qwen3_tts", "rumik_oss", "sesame", "soprano", "vibevoice", "voxcpm", "voxcpm2",
    "voxtral_tts", "zonos2",
}  # fmt: skip
_RERANKER = re.compile(r"rerank", re.IGNORECASE)
_NAMED = (
    (re.compile(r"(?<![a-z])embed(ding)?s?(?![a-z])", re.IGNORECASE), ModelKind.EMBEDDING),
    (re.compile(r"(?<![a-z])(tts|orpheus|outetts)(?![a-z])", re.IGNORECASE), ModelKind.SPEECH),
)


def kind_of(config: Mapping[str, object], names: Set[str], name: str) -> ModelKind | None:
    """Return the kind, None where no kind of ours fits.

    `names` are the entries of the model's folder, `name` is its hub id or the folder's own name.
    """
    if "model_index.json" in names:
        return ModelKind.IMAGE
    model_type = str(config.get("model_type") or "").lower().replace("-", "_")
    head = architecture(config)
    if head.endswith("ForSequenceClassification"):
        return ModelKind.RERANK if _labels(config) == 1 else None
    if _RERANKER.search(name):
        return ModelKind.RERANK
    if model_type in _ENCODERS or not names.isdisjoint(_SENTENCE_TRANSFORMERS):
        return ModelKind.EMBEDDING
    if (sound := _sound(config, model_type)) is not None:
        return sound
    if not _VISION_KEYS.isdisjoint(config) and not names.isdisjoint(_PROCESSORS):
        return ModelKind.VISION
    for pattern, kind in _NAMED:
        if pattern.search(name):
            return kind
    if head.endswith("Model") and not head.endswith("LMHeadModel"):
        return ModelKind.EMBEDDING
    return ModelKind.TEXT if model_type else None


def architecture(config: Mapping[str, object]) -> str:
    """Return the first architecture config.json names, else its model type."""
    listed = config.get("architectures")
    if isinstance(listed, list) and listed and isinstance(listed[0], str):
        return listed[0]
    return str(config.get("model_type") or "")


def _sound(config: Mapping[str, object], model_type: str) -> ModelKind | None:
    if model_type in _TRANSCRIPTION or {"n_mels", "n_audio_ctx"} <= config.keys():
        return ModelKind.TRANSCRIPTION
    if str(config.get("target") or "").startswith("nemo.collections.asr"):
        return ModelKind.TRANSCRIPTION
    if model_type in _SPEECH or {"istftnet", "plbert"} <= config.keys():
        return ModelKind.SPEECH
    return None


def _labels(config: Mapping[str, object]) -> int:
    """Count the classifier's labels; transformers takes two where nothing is said."""
    names = config.get("id2label")
    if isinstance(names, Mapping):
        return len(names)
    count = config.get("num_labels")
    return count if isinstance(count, int) else 2
