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
    from click.shell_completion import ShellComplete, get_completion_class

    session: Session = context.obj
    kind = get_completion_class(shell)
    assert kind is not None
    # Of the base class, for that of bash refuses the bash of a Mac.
    text = ShellComplete.source(kind(context.find_root().command, {}, "mlxctl", _VARIABLE))
    text = _as_a_mac_needs_it(text)
    if session.json:
        session.out.json({"shell": shell, "text": text})
    else:
        session.out.sentence(text.strip())


def _as_a_mac_needs_it(text: str) -> str:
    """Return a script that works in the shells of a new Mac too.

    Its zsh knows no `compdef` before something has called `compinit`, and its bash is 3.2, which knows no `nosort`.
    """
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["compdef"]:
            ready = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }"
            text = text.replace(line, f"    {ready}\n{line}")
        elif words[:3] == ["complete", "-o", "nosort"]:
            text = text.replace(
                line, f"{line} 2> /dev/null || {line.replace('-o nosort ', '').strip()}"
            )
    return text
