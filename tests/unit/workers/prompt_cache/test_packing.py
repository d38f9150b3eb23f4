"""Tokens as bytes."""

from mlxd.workers.prompt_cache import packing


def test_what_was_packed_comes_back() -> None:
    tokens = [0, 1, 151_935, 4_294_967_295]
    assert packing.unpack(packing.pack(tokens)) == tokens


def test_the_head_of_a_sequence_has_so_many_tokens() -> None:
    assert packing.unpack(packing.head(packing.pack([1, 2, 3]), 2)) == [1, 2]


def test_only_whole_tokens_are_shared() -> None:
    # 0x01020304 and 0x01020305 share bytes, on some machines the first three of them.
    one, other = packing.pack([7, 0x01020304]), packing.pack([7, 0x05020304])
    assert packing.shared(one, other, 0) == packing.WIDTH


def test_a_run_is_shared_as_far_as_the_other_reaches() -> None:
    assert packing.shared(packing.pack([2, 3, 4]), packing.pack([1, 2, 3]), packing.WIDTH) == 8
