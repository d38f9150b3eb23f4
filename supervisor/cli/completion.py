"""Hold `mlxctl completion`."""

import click

from mlxd.supervisor.cli.session import Command, Session

_VARIABLE = "_MLXCTL_COMPLETE"
"""What click looks for when the shell asks."""


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete the commands and options of mlxctl.

    bash: eval "$(mlxctl completion bash)" in ~/.bashrc. zsh: the same with zsh, in ~/.zshrc. fish: mlxctl completion
    fish > ~/.config/fish/completions/mlxctl.fish.
    """
    from click.shell_completion import get_completion_class

    session: Session = context.obj
    kind = get_completion_class(shell)
    assert kind is not None
    text = kind(context.find_root().command, {}, "mlxctl", _VARIABLE).source()
    if session.json:
        session.out.json({"shell": shell, "text": text})
    else:
        session.out.sentence(text.strip())
