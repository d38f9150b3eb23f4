"""The bytes of tokens make up the bytes of their text."""

from support.tokenizers import byte_tokenizer, sentence_piece, word_piece

from mlxd.workers.chat.token_text import TokenText


def test_bytes_of_tokens_join_to_the_text_even_within_a_character() -> None:
    tokenizer = byte_tokenizer()
    text = "naïve 🙂 你好\n<think>\t\x00"
    tokens = tokenizer.encode(text, add_special_tokens=False)
    assert len(tokens) > len(text) - len("<think>")
    token_text = TokenText(tokenizer)
    assert b"".join(token_text.bytes_of(token) for token in tokens) == text.encode()


def test_sentence_pieces_keep_the_space_before_a_word() -> None:
    tokenizer = sentence_piece(strip=True)
    token_text = TokenText(tokenizer)
    tokens = tokenizer.convert_tokens_to_ids(["▁the", "▁", "é", "<0xF0>", "<0x9F>"])
    assert [token_text.bytes_of(token) for token in tokens] == [
        b" the", b" ", "é".encode(), b"\xf0", b"\x9f"
    ]  # fmt: skip


def test_pieces_that_are_no_bytes_are_decoded_one_by_one() -> None:
    tokenizer = word_piece()
    token_text = TokenText(tokenizer)
    tokens = tokenizer.convert_tokens_to_ids(["the", "##s", "世"])
    assert [token_text.bytes_of(token) for token in tokens] == [
        tokenizer.decode([token]).encode() for token in tokens
    ]


def test_a_number_that_no_token_has_adds_what_decoding_it_adds() -> None:
    tokenizer = byte_tokenizer()
    assert TokenText(tokenizer).bytes_of(len(tokenizer) + 9) == b""
