"""The bytes of tokens make up the bytes of their text."""

from support.tokenizers import byte_tokenizer

from mlxd.workers.chat.token_text import TokenText


def test_bytes_of_tokens_join_to_the_text_even_within_a_character() -> None:
    tokenizer = byte_tokenizer()
    text = "naïve 🙂 你好\n<think>\t\x00"
    tokens = tokenizer.encode(text, add_special_tokens=False)
    assert len(tokens) > len(text) - len("<think>")
    token_text = TokenText(tokenizer)
    assert b"".join(token_text.bytes_of(token) for token in tokens) == text.encode()


def test_sentence_pieces_and_unknown_tables_are_read_too() -> None:
    class Pieces:
        class detokenizer:
            tokenmap = [b"\xe2\x96\x81once", b"\xc3"]

        @staticmethod
        def decode(tokens: list[int]) -> str:
            return f"<{tokens[0]}>"

    token_text = TokenText(Pieces)
    assert [token_text.bytes_of(token) for token in range(3)] == [b" once", b"\xc3", b"<2>"]
