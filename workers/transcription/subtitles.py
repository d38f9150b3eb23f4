"""Write segments as subtitles."""

from collections.abc import Iterable

from mlxd.workers.transcription.spoken import Segment


def srt(segments: Iterable[Segment]) -> str:
    """Return SubRip: numbered cues, a comma before the milliseconds."""
    cues = (
        f"{number}\n{_span(segment, ',')}\n{_line(segment).replace('-->', '->')}\n\n"
        for number, segment in enumerate(segments, start=1)
    )
    return "".join(cues)


def vtt(segments: Iterable[Segment]) -> str:
    """Return WebVTT."""
    cues = (f"{_span(segment, '.')}\n{_escaped(_line(segment))}\n\n" for segment in segments)
    return "WEBVTT\n\n" + "".join(cues)


def clock(seconds: float, point: str) -> str:
    """Return hours, minutes, seconds and milliseconds."""
    milliseconds = max(0, round(seconds * 1000))
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _span(segment: Segment, point: str) -> str:
    return f"{clock(segment.start, point)} --> {clock(segment.end, point)}"


def _line(segment: Segment) -> str:
    """Return the text as one line: an empty one would end the cue."""
    return " ".join(segment.text.split())


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
