"""Tell where reasoning begins from the end of the rendered prompt."""


def opened_by(prompt: str, think_start: str) -> bool:
    """Say whether the prompt ends inside a block of reasoning.

    Decided from what the template wrote, not from the flag the caller sent: templates differ in what they make of it.
    """
    return bool(think_start) and prompt.rstrip().endswith(think_start)
