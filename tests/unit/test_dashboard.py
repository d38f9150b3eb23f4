"""What Grafana and Prometheus are given fits what `/metrics` shows."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml
from support import all_metrics
from support.source import ROOT

from mlxd.protocol.keys import Right
from mlxd.supervisor.access import rights

FOLDER = ROOT / "scripts" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
_SELECTOR = re.compile(r"(mlxd_\w+)(?:\{([^}]*)\})?")
_GROUPED = re.compile(r"\b(?:by|without) \(([^)]*)\)")


@cache
def known() -> dict[str, frozenset[str]]:
    return all_metrics.samples()


def queries(panel: dict[str, Any]) -> Iterator[str]:
    yield from (target["expr"] for target in panel["targets"])


def names_and_labels(query: str) -> Iterator[tuple[str, set[str]]]:
    """Yield each metric of a query with the labels it is chosen by."""
    for name, chosen in _SELECTOR.findall(query):
        yield name, set(re.findall(r"(\w+)(?:=~|!~|!=|=)", chosen))


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_a_panel_asks_for_series_and_labels_that_exist(panel: dict[str, Any]) -> None:
    assert panel["description"] and panel["targets"]
    for target in panel["targets"]:
        query = target["expr"]
        used = list(names_and_labels(query))
        assert used, query
        for name, labels in used:
            assert name in known(), query
            assert labels <= known()[name], (name, labels)
        shared = frozenset.intersection(*(known()[name] for name, _ in used))
        for grouped in _GROUPED.findall(query):
            assert set(grouped.split(", ")) <= shared, query
        shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        kept = {word for grouped in _GROUPED.findall(query) for word in grouped.split(", ")}
        assert shown <= (kept or shared), (query, shown)
        assert all(query.count(left) == query.count(right) for left, right in ("()", "{}", "[]"))


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_a_counter_is_shown_by_its_rate_and_a_histogram_by_its_quantiles(
    panel: dict[str, Any],
) -> None:
    for query in queries(panel):
        for name, _ in names_and_labels(query):
            if name.endswith(("_total", "_bucket")):
                assert re.search(rf"(rate|increase)\({name}\b", query), query
            if name.endswith("_bucket"):
                assert query.startswith("histogram_quantile("), query


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {name for panel in PANELS for query in queries(panel) for name, _ in names_and_labels(query)}  # fmt: skip
    shown |= {
        name
        for note in DASHBOARD["annotations"]["list"]
        for name, _ in names_and_labels(note["expr"])
    }
    shown = {name.removesuffix("_bucket") for name in shown}
    # Who hits the cache is seen by its tokens.
    hidden = {"mlxd_build_info", "mlxd_prompt_cache_hits_total"}
    assert set(all_metrics.families()) - shown == hidden


def test_variables_come_from_labels() -> None:
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] != "query":
            continue
        found = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"])
        assert found is not None and found[2] in known()[found[1]]


def test_panels_lie_beside_each_other_and_have_numbers_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and max(x for x, _ in cells) < 24
        taken |= cells
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_prometheus_is_told_where_to_scrape_and_with_which_key() -> None:
    (job,) = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    assert rights.needed("GET", job["metrics_path"]) is Right.WATCH
    assert job["authorization"]["type"] == "Bearer" and job["authorization"]["credentials_file"]
    assert job["static_configs"][0]["targets"] == ["127.0.0.1:10240"]
