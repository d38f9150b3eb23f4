"""Run a library's long call in pieces, on the thread it belongs to.

mlx-vlm draws a picture in one call that cannot be told to stop and says nothing until it is over. Here that call runs
on a stack of its own, and whatever it calls may hand a piece over to whoever drives it, who goes on with it, or not.
A thread would not do: what MLX computes belongs to the thread that asked for it.
"""

from collections.abc import Callable, Generator
from typing import Any, TypeVar, cast

from greenlet import getcurrent, greenlet

T = TypeVar("T")


def pieces(work: Callable[[], T]) -> Generator[Any, None, T]:
    """Yield what `work` hands over and return what it returns; closing this generator ends it where it stands."""
    inner = greenlet(work)
    try:
        found = inner.switch()
        while not inner.dead:
            yield found
            found = inner.switch()
        return cast(T, found)
    finally:
        if not inner.dead:
            inner.throw()  # greenlet's own exit, which no `except Exception` of the library holds up


def hand_over(piece: object) -> None:
    """Give a piece to whoever drives this call; does nothing where nobody does."""
    driver = getcurrent().parent
    if driver is not None:
        driver.switch(piece)


def watch(
    thing: Any,
    method: str,
    after: Callable[[tuple[Any, ...], dict[str, Any], Any], None],
) -> None:
    """Call `after` with the arguments and the result of each call of an object's method.

    The object gets a class of its own, because Python looks for `__call__` there and nowhere else.
    """
    kind = type(thing)
    original = getattr(kind, method)

    def watched(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        after(args, kwargs, result)
        return result

    thing.__class__ = type(kind.__name__, (kind,), {method: watched})
