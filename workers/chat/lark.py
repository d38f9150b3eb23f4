"""Write grammars in llguidance's variant of Lark, piece by piece."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

TEXT = "TEXT"
"""Terminal for any text without special tokens."""
ANYTHING = "<[*]>*"
"""Any tokens at all."""
_HEAD = f"{TEXT}: /(?s:.*)/"


@dataclass(frozen=True, slots=True)
class Part:
    """Hold a grammar of its own inside the whole one, and whose it is."""

    name: str
    field: str
    """Name of the request field it came from; a refusal names it."""
    grammar: Mapping[str, object]
    fallback: Mapping[str, object] | None = None
    """What is enforced instead where `grammar` can't be; None: nothing will do."""

    def alone(self) -> str:
        """Return it as a whole grammar."""
        return json.dumps({"grammars": [self.grammar]})

    def inside(self, *, falls_back: bool) -> dict[str, object]:
        """Return it as the whole grammar holds it."""
        chosen = self.fallback if falls_back and self.fallback is not None else self.grammar
        return {"name": self.name, **chosen}


@dataclass(frozen=True, slots=True)
class Demand:
    """Hold all that an answer must satisfy."""

    lark: str
    parts: tuple[Part, ...]
    field: str
    """Name of the request field that asked for most of it."""

    def text(self, falling_back: frozenset[str] = frozenset()) -> str:
        """Return llguidance's JSON notation; the named parts are replaced by their fallbacks."""
        inner = [part.inside(falls_back=part.name in falling_back) for part in self.parts]
        return json.dumps({"grammars": [{"lark_grammar": self.lark}, *inner]})


def literal(text: str) -> str:
    """Return an expression for exactly this text."""
    return json.dumps(text, ensure_ascii=False)


def either(*expressions: str) -> str:
    """Return an expression for any one of several."""
    return expressions[0] if len(expressions) == 1 else f"( {' | '.join(expressions)} )"


class Draft:
    """Gather the rules and parts of one grammar."""

    def __init__(self, specials: Mapping[str, int]) -> None:
        self._specials = sorted(specials.items(), key=lambda item: -len(item[0]))
        self._rules: list[str] = []
        self._parts: list[Part] = []

    def rule(self, expression: str, options: str = "") -> str:
        """Add a rule and return its name."""
        name = f"r{len(self._rules)}"
        self._rules.append(f"{name}{options}: {expression}")
        return name

    def terminal(self, expression: str) -> str:
        """Add a terminal, which may be a regular expression with `&` and `~`, and return its name."""
        name = f"T{len(self._rules)}"
        self._rules.append(f"{name}: {expression}")
        return name

    def part(
        self,
        grammar: Mapping[str, object],
        field: str,
        fallback: Mapping[str, object] | None = None,
    ) -> str:
        """Add a grammar of its own and return the expression that stands for it."""
        part = Part(f"p{len(self._parts)}", field, grammar, fallback)
        self._parts.append(part)
        return f"@{part.name}"

    def marker(self, text: str) -> str:
        """Return an expression for text that may hold special tokens."""
        pieces = self._pieces(text)
        return " ".join(_piece(piece) for piece in pieces)

    def text_until(self, marker: str) -> str:
        """Return an expression for any text up to and with the first such marker."""
        pieces = self._pieces(marker)
        first = next((at for at, piece in enumerate(pieces) if isinstance(piece, int)), None)
        if first is None:
            return self.rule(TEXT, f"[suffix={literal(marker)}]")
        # Text takes what comes before the first special token, white space mostly.
        return " ".join([TEXT, *(_piece(piece) for piece in pieces[first:])])

    def is_special(self, text: str) -> bool:
        """Say whether a marker begins with a special token, which free text cannot hold."""
        pieces = self._pieces(text)
        return bool(pieces) and isinstance(pieces[0], int)

    def finish(self, start: str, field: str) -> Demand:
        """Return the grammar whose whole is the expression `start`."""
        lark = "\n".join([f"start: {start}", *self._rules, _HEAD])
        return Demand(lark, tuple(self._parts), field)

    def _pieces(self, text: str) -> list[str | int]:
        """Split a text into special tokens and what is between them."""
        pieces: list[str | int] = []
        at = 0
        while at < len(text):
            found = next((item for item in self._specials if text.startswith(item[0], at)), None)
            if found is not None:
                pieces.append(found[1])
                at += len(found[0])
                continue
            if pieces and isinstance(pieces[-1], str):
                pieces[-1] += text[at]
            else:
                pieces.append(text[at])
            at += 1
        return pieces


def _piece(piece: str | int) -> str:
    return literal(piece) if isinstance(piece, str) else f"<[{piece}]>"
