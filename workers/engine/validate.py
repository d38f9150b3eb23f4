"""Refuse what can never work, before it reaches the engine thread."""

import math
from dataclasses import dataclass

from mlxd.protocol.errors import ContextLengthExceeded, InvalidRequest
from mlxd.workers.engine.request import GenerateRequest, Sampling

TOP_LOGPROBS = 20
BIASED_TOKENS = 1024
"""More entries of a logit bias than any client needs."""


@dataclass(frozen=True, slots=True)
class Window:
    """Know what fits a model."""

    vocab: int
    context_length: int

    def check(self, request: GenerateRequest) -> None:
        """Raise InvalidRequest or ContextLengthExceeded for a request this model can never answer."""
        if not request.prompt:
            raise InvalidRequest("the prompt is empty", field="prompt")
        if len(request.prompt) >= self.context_length:
            raise ContextLengthExceeded(len(request.prompt), self.context_length)
        if not 0 <= min(request.prompt) <= max(request.prompt) < self.vocab:
            self._refuse("prompt", f"token ids from 0 to {self.vocab - 1}")
        if request.max_tokens < 1:
            self._refuse("max_tokens", "at least 1", request.max_tokens)
        if request.logprobs is not None and not 0 <= request.logprobs <= TOP_LOGPROBS:
            self._refuse("top_logprobs", f"0 to {TOP_LOGPROBS}", request.logprobs)
        self._check_sampling(request.sampling)

    def _check_sampling(self, sampling: Sampling) -> None:
        ranges = {
            "temperature": (sampling.temperature, 0.0, math.inf),
            "top_p": (sampling.top_p, 0.0, 1.0),
            "top_k": (sampling.top_k, 0, math.inf),
            "min_p": (sampling.min_p, 0.0, 1.0),
            "presence_penalty": (sampling.presence_penalty, -math.inf, math.inf),
            "frequency_penalty": (sampling.frequency_penalty, -math.inf, math.inf),
            "repetition_penalty": (sampling.repetition_penalty, 0.0, math.inf),
        }
        for name, (value, least, most) in ranges.items():
            if not math.isfinite(value) or not least <= value <= most:
                limit = f"{least:g} to {most:g}" if math.isfinite(most) else f"at least {least:g}"
                self._refuse(name, limit if math.isfinite(least) else "a finite number", value)
        if sampling.repetition_penalty == 0:
            self._refuse("repetition_penalty", "more than 0", 0)
        self._check_bias(sampling)

    def _check_bias(self, sampling: Sampling) -> None:
        bias = sampling.logit_bias
        if len(bias) > BIASED_TOKENS:
            self._refuse("logit_bias", f"at most {BIASED_TOKENS} entries", len(bias))
        for token, value in bias.items():
            if not 0 <= token < self.vocab:
                self._refuse("logit_bias", f"token ids from 0 to {self.vocab - 1}", token)
            if not math.isfinite(value):
                self._refuse("logit_bias", "finite numbers", value)

    @staticmethod
    def _refuse(field: str, expected: str, got: object = None) -> None:
        found = "" if got is None else f", got {got}"
        raise InvalidRequest(f"{field}: expected {expected}{found}", field=field)
