"""Write documents and search results of Anthropic's Messages into the text of a turn."""

from collections.abc import Sequence

from mlxd.protocol import anthropic_content as wire
from mlxd.protocol.errors import UnsupportedField


def document(block: wire.Document, path: str) -> str:
    """Return a plain document as text; raises UnsupportedField for any other, naming the part."""
    _refuse_citations(block.citations, path)
    about = [("title", block.title), ("context", block.context)]
    lines = [f"{name}: {value}" for name, value in about if value]
    return _framed("document", lines, _text(block.source, path))


def _text(source: wire.Source, path: str) -> str:
    match source:
        case wire.PlainSource(data=data):
            return data
        case wire.BlockSource(content=content):
            return content if isinstance(content, str) else _joined(content, f"{path}.source")
        case wire.Base64Source(media_type=kind):
            raise unsupported(path, f"a document of type {kind or 'unknown'}")
        case wire.UrlSource():
            raise UnsupportedField(path, "mlxd fetches no documents; send the text itself")
        case wire.FileSource():
            raise UnsupportedField(path, "mlxd stores no files; send the text itself")


def search_result(block: wire.SearchResult, path: str) -> str:
    """Return what a search found as text."""
    _refuse_citations(block.citations, path)
    text = "\n".join(part.text for part in block.content)
    return _framed("search_result", [f"title: {block.title}", f"source: {block.source}"], text)


def unsupported(path: str, what: str) -> UnsupportedField:
    """Return the error for a part that a text model cannot take."""
    return UnsupportedField(path, f"this model takes text, not {what}")


def _framed(tag: str, about: list[str], text: str) -> str:
    return "\n".join([f"<{tag}>", *about, text, f"</{tag}>"])


def _joined(parts: Sequence[wire.Text | wire.Image], path: str) -> str:
    texts = []
    for index, part in enumerate(parts):
        if isinstance(part, wire.Image):
            raise unsupported(f"{path}.content[{index}]", "an image")
        texts.append(part.text)
    return "\n".join(texts)


def _refuse_citations(citations: wire.Citations | None, path: str) -> None:
    if citations is not None and citations.enabled:
        raise UnsupportedField(f"{path}.citations", "citations are not supported")
