"""Values become structs, or a mismatch with its place."""

import msgspec
import pytest

from mlxd.config.decode import decode, nearest


class Odd(msgspec.Struct):
    """Have a field of a type no setting has."""

    when: bytes


def test_a_type_nobody_taught_it_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="no rule for"):
        decode({"when": "now"}, Odd)


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
