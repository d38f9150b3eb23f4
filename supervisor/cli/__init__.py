"""Talk to a running daemon from a terminal: `mlxctl`.

What a command does not need it does not import: nothing here may cost more than click until it is used.
"""


def main() -> None:
    """Run `mlxctl`; the console script's entry point."""
    from mlxd.supervisor.cli.root import mlxctl

    mlxctl(prog_name="mlxctl")
