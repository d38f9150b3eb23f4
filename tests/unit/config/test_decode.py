"""Values become structs, or a mismatch with its place."""

from typing import Annotated

import msgspec
import pytest

from mlxd.config.decode import Mismatch, decode, nearest


class Odd(msgspec.Struct):
    """Have a field of a type no setting has."""

    when: bytes


def test_a_type_nobody_taught_it_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="no rule for"):
        decode({"when": "now"}, Odd)


class Share(msgspec.Struct):
    """Have a number."""

    of: Annotated[float, msgspec.Meta(ge=0, le=1)]


@pytest.mark.parametrize(("text", "value"), [("1e-05", 1e-5), ("1E-7", 1e-7), ("1e0", 1.0)])
def test_a_number_as_json_writes_it_is_one_though_yaml_reads_text(text: str, value: float) -> None:
    assert decode({"of": text}, Share).of == value


@pytest.mark.parametrize("text", ["2e0", "1e999", "-1e-5", "e5", "1e", "nan", "0x1"])
def test_what_is_no_number_or_too_large_a_one_is_refused(text: str) -> None:
    with pytest.raises(Mismatch, match="expected a number of at least 0 and at most 1"):
        decode({"of": text}, Share)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("prot", "; did you mean Port?"),
        ("PORT", "; did you mean Port?"),
        ("zzz", ""),
        ("p" * 10**6, ""),
    ],
)
def test_a_near_name_is_offered_whatever_its_case(name: str, hint: str) -> None:
    assert nearest(name, ["Port", "host"]) == hint
