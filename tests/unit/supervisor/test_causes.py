"""Why a worker ended is told in words that say what to do about it."""

import pytest

from mlxd.supervisor.lifecycle.causes import ended, explained


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (-9, "ended by SIGKILL, as the system does when memory runs out"),
        (-15, "ended by SIGTERM"),
        (-11, "ended by SIGSEGV, a crash in native code"),
        (-1000, "ended by signal 1000"),
        (65, "status 65 (load failed)"),
        (1, "status 1 (unexpectedly)"),
    ],
)
def test_the_cause_of_an_end_is_told_in_words(code: int, words: str) -> None:
    assert words in ended("a", code)


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        ("[metal::malloc] Resource limit (499000) exceeded.", "buffer count, not bytes"),
        (
            "[METAL] Command buffer execution failed: Insufficient Memory (00000008:"
            "kIOGPUCommandBufferCallbackErrorOutOfMemory)",
            "the GPU ran out of memory",
        ),
        ("kIOGPUCommandBufferCallbackErrorHang", "the GPU hung"),
        (
            "[METAL] Command buffer execution failed: Impacting Interactivity (0000000e:"
            "kIOGPUCommandBufferCallbackErrorImpactingInteractivity)",
            "kept the screen waiting",
        ),
        (
            "Ignored (for causing prior/excessive GPU errors) (00000004:"
            "kIOGPUCommandBufferCallbackErrorSubmissionsIgnored)",
            "after earlier errors",
        ),
        ("Caused GPU Timeout Error", "longer than the system allows"),
    ],
)
def test_what_metal_says_is_explained_and_kept(message: str, meaning: str) -> None:
    said = explained(message)
    assert message in said and meaning in said


def test_an_unknown_message_stays_as_it_is() -> None:
    assert explained("no such file") == "no such file"
