"""The radix tree against a dictionary."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from mlxd.workers.prompt_cache.eviction_order import Kind
from mlxd.workers.prompt_cache.packing import pack
from mlxd.workers.prompt_cache.prefix_index import Entry, PrefixIndex

Tokens = tuple[int, ...]
# Few tokens, one of them wide: long shared runs, and bytes that differ within a token.
sequences = st.lists(st.sampled_from([0, 1, 256, 70_000]), min_size=1, max_size=12).map(tuple)


def common(one: Tokens, other: Tokens) -> int:
    return next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )


class Index(RuleBasedStateMachine):
    """Do the same to the index and to a dictionary, and ask both."""

    entries = Bundle("entries")

    def __init__(self) -> None:
        super().__init__()
        self.index: PrefixIndex[Tokens] = PrefixIndex()
        self.model: dict[Tokens, Entry[Tokens]] = {}

    @rule(
        target=entries,
        tokens=sequences,
        trimmable=st.booleans(),
        nbytes=st.integers(0, 9),
        kind=st.sampled_from(Kind),
    )
    def add(self, tokens: Tokens, trimmable: bool, nbytes: int, kind: Kind) -> Tokens:
        if tokens in self.model:
            self.index.remove(self.model.pop(tokens))
        self.model[tokens] = self.index.add(
            pack(tokens), tokens, nbytes=nbytes, kind=kind, trimmable=trimmable
        )
        return tokens

    @rule(tokens=consumes(entries))
    def remove(self, tokens: Tokens) -> None:
        if tokens in self.model:
            self.index.remove(self.model.pop(tokens))

    @rule(tokens=sequences)
    def look_up(self, tokens: Tokens) -> None:
        served = {
            known: common(known, tokens) if entry.trimmable else len(known)
            for known, entry in self.model.items()
            if entry.trimmable or known == tokens[: len(known)]
        }
        best = max(served.values(), default=0)
        match = self.index.lookup(pack(tokens))
        if not best:
            assert match is None
        else:
            assert match is not None and match.length == best
            assert served[match.entry.value] == best

    @rule(tokens=sequences)
    def ask(self, tokens: Tokens) -> None:
        assert self.index.get(pack(tokens)) is self.model.get(tokens)
        prefixes = [entry.value for entry in self.index.prefixes(pack(tokens))]
        longer = sorted((known for known in self.model if known == tokens[: len(known)]), key=len)
        assert prefixes == [known for known in longer if known != tokens]
        covering = self.index.covering(pack(tokens))
        expected = {
            known
            for known, entry in self.model.items()
            if entry.trimmable and known[: len(tokens)] == tokens
        }
        assert (covering.value in expected) if covering else not expected

    @invariant()
    def every_entry_knows_its_tokens(self) -> None:
        for tokens, entry in self.model.items():
            assert self.index.tokens(entry) == pack(tokens)

    @invariant()
    def sizes_add_up(self) -> None:
        assert len(self.index) == len(self.model)
        assert self.index.nbytes == sum(entry.nbytes for entry in self.model.values())


TestIndex = Index.TestCase
TestIndex.settings = settings(max_examples=50)
