"""Say how many tokens sound and the text beside it count as, so that one limit holds for every kind of model.

A second counts what it counts at OpenAI: ten tokens that are heard, twenty that are spoken.
"""

import math

_HEARD_PER_S = 10
_SPOKEN_PER_S = 20
_BYTES_PER_TOKEN = 4


def heard(seconds: float) -> int:
    """Return what a recording to be listened to counts as."""
    return math.ceil(seconds * _HEARD_PER_S)


def spoken(seconds: float) -> int:
    """Return what sound that was made counts as."""
    return math.ceil(seconds * _SPOKEN_PER_S)


def written(text: str) -> int:
    """Return what a text counts as where no tokenizer reads it: its words, or more where words are long or unmarked."""
    return max(len(text.split()), len(text.encode()) // _BYTES_PER_TOKEN)
