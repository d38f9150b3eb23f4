"""Write log-probabilities in OpenAI's two shapes."""

from collections.abc import Sequence

from mlxd.protocol import openai_chat
from mlxd.protocol.openai_completions import CompletionLogprobs
from mlxd.workers.chat.events import TokenLogprob
from mlxd.workers.chat.token_text import TokenText


def for_chat(entries: Sequence[TokenLogprob], token_text: TokenText) -> openai_chat.ChoiceLogprobs:
    """Return the shape of Chat Completions, with the bytes of each token."""

    def top(token: int, logprob: float) -> openai_chat.TopLogprob:
        raw = token_text.bytes_of(token)
        return openai_chat.TopLogprob(raw.decode(errors="replace"), logprob, list(raw))

    content = []
    for entry in entries:
        chosen = top(entry.token, entry.logprob)
        rivals = [top(token, logprob) for token, logprob in entry.top]
        content.append(openai_chat.TokenLogprob(chosen.token, chosen.logprob, chosen.bytes, rivals))
    return openai_chat.ChoiceLogprobs(content)


def for_completion(
    entries: Sequence[TokenLogprob], token_text: TokenText, offset: int
) -> CompletionLogprobs:
    """Return the shape of Completions; `offset` is where the first token stands in the choice's text."""

    def text(token: int) -> str:
        return token_text.bytes_of(token).decode(errors="replace")

    tokens = [text(entry.token) for entry in entries]
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token)
    rivals = [{text(token): logprob for token, logprob in entry.top} for entry in entries]
    return CompletionLogprobs(
        tokens=tokens,
        token_logprobs=[entry.logprob for entry in entries],
        top_logprobs=rivals if any(rivals) else None,
        text_offset=offsets,
    )
