"""Whoever is told something of a row finds it counted: no answer is ahead of the batch's figures."""

from pathlib import Path

from support.engine_rig import Rig, lane, prompt, remembering, request

from mlxd.workers.engine.sequence import Delivery
from mlxd.workers.engine.stats import BatchStats


class Watched(Rig):
    """Read the counts at the very moment at which an answer's end is handed over."""

    shown: list[BatchStats]

    def _publish(self, news: list[Delivery]) -> None:
        super()._publish(news)
        if any(item.is_last for item in news):
            self.shown.append(self.stats())


def test_an_answer_is_counted_before_its_end_is_handed_over(tmp_path: Path) -> None:
    """Regression: a step read prompts and wrote states to disk between the two."""
    tiny = lane("qwen3")
    rig = Watched(tiny, remembering(tiny, disk=tmp_path))
    rig.shown = []
    asked = prompt(600, 1)
    for _ in range(2):
        rig.submit(request(asked))
        rig.finish()
    rig.submit(request(asked), request(prompt(9, 2), 3))
    rig.finish()
    counted = [(shown.finished, shown.decode, shown.generated_tokens) for shown in rig.shown]
    assert counted == [(1, 0, 8), (2, 0, 16), (3, 1, counted[2][2]), (4, 0, 27)]
    caches = [shown.prompt_cache for shown in rig.shown]
    assert [cache.hits for cache in caches if cache is not None] == [0, 1, 2, 2]
