"""Hear a recording with Whisper, window by window: the library's own loop, cut open where each window ends.

The library's loop goes through the whole file and tells nothing before its end. What it decides is decided here the
same way: how far a window got, which guess is good enough, what counts as silence.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_audio.stt.models.whisper.decoding import DecodingOptions
from mlx_audio.stt.models.whisper.timing import add_word_timestamps

from mlxd.workers.transcription.spectrum import FRAMES_PER_SECOND, WINDOW, Spectrum
from mlxd.workers.transcription.spoken import HOPELESS, Heard, Listen, Segment, Word, number
from mlxd.workers.transcription.whisper import Whisper

_TEMPERATURE_STEP = 0.2
_TOO_REPETITIVE = 2.4
_TOO_UNLIKELY = -1.0
_SILENCE = 0.6
_TOO_CREATIVE = 0.5
"""Above this temperature, what was said is not shown to the next window."""
_LEAST_ADVANCE = FRAMES_PER_SECOND
"""A window moves on by a second or more, whatever its timestamps say, so that every recording ends."""


def hear(whisper: Whisper, ask: Listen) -> Iterator[Heard]:
    """Yield what each window says; raises Interrupted as soon as the model's watch says so."""
    yield from _Hearing(whisper, ask).windows()


class _Hearing:
    """Keep one recording's place, and what was said before it."""

    def __init__(self, whisper: Whisper, ask: Listen) -> None:
        self._whisper, self._model, self._ask = whisper, whisper.model, ask
        self._spectrum = Spectrum(ask.samples, self._model.dims.n_mels)
        self._seek = 0
        self._said: list[int] = []
        self._last_speech = 0.0

    def windows(self) -> Iterator[Heard]:
        mx.random.seed(0)  # the same upload gives the same text
        self._spectrum.measure()
        language = self._ask.language or self._detected()
        task = "translate" if self._ask.translate else "transcribe"
        self._tokenizer = self._model.get_tokenizer(language=language, task=task)
        self._options = DecodingOptions(
            task=task, language=language, fp16=self._model.dtype == mx.float16
        )
        if self._ask.prompt:
            self._said = self._tokenizer.encode(" " + self._ask.prompt.strip())
        while self._seek < self._spectrum.frames:
            segments = tuple(map(_segment, self._window()))
            yield Heard(segments, language, min(self._seek, self._spectrum.frames) / 100)

    def _detected(self) -> str:
        if not self._whisper.is_multilingual:
            return "en"
        _, odds = self._model.detect_language(self._encoded(self._mel()))
        best: str = max(odds, key=odds.__getitem__)
        return best

    def _mel(self) -> mx.array:
        """Return the frames of this window, silence where it is shorter than others."""
        size = min(WINDOW, self._spectrum.frames - self._seek)
        mel = self._spectrum.stretch(self._seek, size)
        return mx.pad(mel, [(0, WINDOW - size), (0, 0)]).astype(self._model.dtype)

    def _encoded(self, mel: mx.array) -> mx.array:
        """Encode once: language and each temperature are then found without hearing it again."""
        encoded: mx.array = self._model.encoder(mel[None])[0]
        return encoded

    def _window(self) -> list[dict[str, Any]]:
        """Hear the next window and move on; return its segments as the library writes them."""
        begin, size = self._seek, min(WINDOW, self._spectrum.frames - self._seek)
        mel = self._mel()
        result = self._decoded(self._encoded(mel))
        if result.no_speech_prob > _SILENCE and not result.avg_logprob > _TOO_UNLIKELY:
            self._seek += size
            return []
        tokens = np.array(result.tokens, dtype=np.int64)
        pieces, ended, advance = cut(tokens.tolist(), self._tokenizer.timestamp_begin, size)
        segments = [self._written(piece, begin, result) for piece in pieces]
        if self._ask.words:
            advance = self._timed(segments, mel, begin, size, ended, advance)
        self._seek = begin + max(advance, min(size, _LEAST_ADVANCE))
        for segment in segments:
            if segment["start"] == segment["end"] or not segment["text"].strip():
                segment.update(text="", tokens=[], words=[])
        if result.temperature > _TOO_CREATIVE:
            self._said = []
        else:
            self._said += [token for segment in segments for token in segment["tokens"]]
        return segments

    def _decoded(self, encoded: mx.array) -> Any:
        result = None
        for temperature in temperatures(self._ask.temperature):
            options = replace(self._options, temperature=temperature, prompt=self._said)
            result = self._model.decode(encoded, options)
            silent = result.no_speech_prob > _SILENCE and result.avg_logprob < _TOO_UNLIKELY
            poor = result.compression_ratio > _TOO_REPETITIVE or result.avg_logprob < _TOO_UNLIKELY
            if silent or not poor:
                break
        return result

    def _written(self, piece: "Piece", begin: int, result: Any) -> dict[str, Any]:
        offset = begin / FRAMES_PER_SECOND
        spoken = [token for token in piece.tokens if token < self._tokenizer.eot]
        return {
            "seek": begin,
            "start": offset + piece.start,
            "end": offset + piece.end,
            "text": self._tokenizer.decode(spoken),
            "tokens": piece.tokens,
            "temperature": result.temperature,
            "avg_logprob": result.avg_logprob,
            "compression_ratio": result.compression_ratio,
            "no_speech_prob": result.no_speech_prob,
        }

    def _timed(
        self,
        segments: list[dict[str, Any]],
        mel: mx.array,
        begin: int,
        size: int,
        ended: bool,
        advance: int,
    ) -> int:
        """Add words with their times; return how far the window got by these."""
        add_word_timestamps(
            segments=segments,
            model=self._model,
            tokenizer=self._tokenizer,
            mel=mel,
            num_frames=size,
            last_speech_timestamp=self._last_speech,
        )
        ends = [word["end"] for segment in segments for word in segment["words"]]
        if not ends:
            return advance
        self._last_speech = ends[-1]
        if ended or ends[-1] <= begin / FRAMES_PER_SECOND:
            return advance
        return int(round(ends[-1] * FRAMES_PER_SECOND)) - begin


class Piece:
    """Hold the tokens of a segment and its place in the window, in seconds."""

    __slots__ = ("end", "start", "tokens")

    def __init__(self, tokens: list[int], start: float, end: float) -> None:
        self.tokens, self.start, self.end = tokens, start, end


_PRECISION = 0.02
_FRAMES_PER_STAMP = 2


def cut(tokens: list[int], first_stamp: int, size: int) -> tuple[list[Piece], bool, int]:
    """Cut a window's tokens where two timestamps meet.

    Returns the pieces, whether nothing is said after the last timestamp, and how many of the window's `size` frames
    are heard: what follows the last pair is left for the next window.
    """
    stamps = [token >= first_stamp for token in tokens]
    ended = stamps[-2:] == [False, True]
    cuts = [at for at in range(1, len(tokens)) if stamps[at - 1] and stamps[at]]
    if not cuts:
        last = next((token for token in reversed(tokens) if token > first_stamp), None)
        end = size / FRAMES_PER_SECOND if last is None else (last - first_stamp) * _PRECISION
        return [Piece(tokens, 0.0, end)], ended, size
    if ended:
        cuts.append(len(tokens))
    pieces = []
    for begin, end in zip([0, *cuts], cuts, strict=False):
        piece = tokens[begin:end]
        start, stop = ((stamp - first_stamp) * _PRECISION for stamp in (piece[0], piece[-1]))
        pieces.append(Piece(piece, start, stop))
    heard = size if ended else (tokens[cuts[-1] - 1] - first_stamp) * _FRAMES_PER_STAMP
    return pieces, ended, heard


def temperatures(first: float) -> list[float]:
    """Return the temperatures to try in turn, until a guess is good enough."""
    steps = int((1.0 - first) / _TEMPERATURE_STEP + 1e-6) if first < 1.0 else 0
    return [round(first + step * _TEMPERATURE_STEP, 6) for step in range(steps + 1)]


def _segment(written: dict[str, Any]) -> Segment:
    words = written.get("words", ())
    return Segment(
        start=number(written["start"]),
        end=number(written["end"]),
        text=written["text"],
        tokens=[int(token) for token in written["tokens"]],
        seek=written["seek"],
        temperature=written["temperature"],
        avg_logprob=number(written["avg_logprob"], HOPELESS),
        compression_ratio=number(written["compression_ratio"]),
        no_speech_prob=number(written["no_speech_prob"]),
        words=tuple(Word(w["word"], number(w["start"]), number(w["end"])) for w in words),
    )
