"""Keep the number of files that may be open as the supervisor has set it."""

import resource


def keep() -> None:
    """Let no library change it from now on.

    mlx-lm sets it as it is imported: to less than many requests need, and where less is allowed it cannot be imported.
    """
    change = resource.setrlimit

    def unless_of_files(which: int, limits: tuple[int, int], /) -> None:
        if which != resource.RLIMIT_NOFILE:
            change(which, limits)

    resource.setrlimit = unless_of_files
