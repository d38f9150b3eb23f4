"""What the headers of a request say about its wait."""

import pytest

from mlxd.protocol.errors import InvalidRequest
from mlxd.supervisor import urgency
from mlxd.supervisor.urgency import Priority, Urgency


def test_a_request_that_says_nothing_is_normal_and_waits_as_long_as_it_takes() -> None:
    assert urgency.of({}) == Urgency(Priority.NORMAL, None)


@pytest.mark.parametrize("priority", Priority)
def test_each_priority_has_a_name(priority: Priority) -> None:
    assert urgency.of({"x-priority": priority.name.lower()}).priority is priority


@pytest.mark.parametrize("value", ["", "urgent", "High", " high", "0", "high, low"])
def test_another_priority_is_refused_by_the_headers_name(value: str) -> None:
    with pytest.raises(InvalidRequest, match="^x-priority: expected high, normal or low") as found:
        urgency.of({"x-priority": value})
    assert found.value.field == "x-priority"


@pytest.mark.parametrize(
    ("value", "seconds"), [("30", 30.0), ("0.5", 0.5), (".5", 0.5), ("2.", 2.0)]
)
def test_a_timeout_is_in_seconds(value: str, seconds: float) -> None:
    assert urgency.of({"x-request-timeout": value}).patience == seconds


@pytest.mark.parametrize(
    "value", ["", "0", "0.0", "-1", "nan", "inf", "1e3", "1_0", "٣", "30s", " 3", "9" * 400, "."]
)
def test_a_timeout_that_is_no_positive_number_is_refused_by_the_headers_name(value: str) -> None:
    with pytest.raises(InvalidRequest, match="^x-request-timeout: expected a positive") as found:
        urgency.of({"x-request-timeout": value})
    assert found.value.field == "x-request-timeout"
    assert len(found.value.message) < 150


def test_a_second_wait_has_what_the_first_one_left() -> None:
    assert Urgency(Priority.LOW, 5.0).after(2.0) == Urgency(Priority.LOW, 3.0)
    assert Urgency(patience=5.0).after(6.0).patience == 0.0
    assert Urgency().after(6.0) == Urgency()
