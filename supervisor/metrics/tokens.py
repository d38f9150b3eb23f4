"""Count tokens and their pace by what workers say when a request has ended."""

from mlxd.protocol import timing
from mlxd.protocol.control import Used
from mlxd.supervisor.metrics.labels import WHO
from mlxd.supervisor.metrics.merged_histogram import MergedHistogram
from mlxd.supervisor.metrics.registry import Registry


class Tokens:
    """Hold the metrics that workers fill."""

    def __init__(self, registry: Registry) -> None:
        self._labels = registry.labels
        self._prompt = registry.counter(
            "prompt_tokens", "Tokens that requests came with, cached ones included", WHO
        )
        self._generated = registry.counter("generated_tokens", "Tokens that models made", WHO)
        self._cached = registry.counter(
            "cached_tokens", "Prompt tokens that were not read again", WHO
        )
        self._hits = registry.counter(
            "prompt_cache_hits", "Requests that had a part of their prompt from the cache", WHO
        )
        self._cancelled = registry.counter(
            "cancelled_tokens", "Tokens made for requests whose client then left", WHO
        )
        self._first = registry.histogram(
            "first_token_seconds",
            "From a request's arrival to its first token, queue and load included",
            WHO,
            timing.FIRST_TOKEN,
        )
        self._gaps = MergedHistogram(
            "mlxd_inter_token_seconds",
            "Time between two tokens of one answer",
            WHO,
            timing.INTER_TOKEN,
        )
        self._failed = registry.counter(
            "streams_failed",
            "Answers that had begun well and that their worker ended with an error",
            ("code", *WHO),
        )
        registry.collectors.register(self._gaps)
        registry.labels.follow(self._gaps, WHO)

    def used(self, model: str, used: Used) -> None:
        """Count what one request has used."""
        if used.error:
            self._failed.labels(used.error, *self._labels.who(model, used.key)).inc()
        if not used.input_tokens and not used.output_tokens:
            return
        who = self._labels.who(model, used.key)
        self._prompt.labels(*who).inc(used.input_tokens)
        self._generated.labels(*who).inc(used.output_tokens)
        if used.cached_tokens:
            self._cached.labels(*who).inc(used.cached_tokens)
            self._hits.labels(*who).inc()
        if used.is_cancelled:
            self._cancelled.labels(*who).inc(used.output_tokens)
        if used.first_token is not None:
            self._first.labels(*who).observe(used.first_token)
        if used.gaps:
            self._gaps.merge(who, used.gaps, used.gap_seconds)
