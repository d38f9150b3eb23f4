"""Name the kinds of model a worker can own."""

from enum import StrEnum


class ModelKind(StrEnum):
    """What a model does; decides which engine a worker loads and which routes reach it."""

    TEXT = "text"
    VISION = "vision"
    EMBEDDING = "embedding"
    RERANK = "rerank"
    SPEECH = "speech"
    TRANSCRIPTION = "transcription"
    IMAGE = "image"
