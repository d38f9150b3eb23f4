"""Hold what each command's help shows of its use; every line is one that works."""

from collections.abc import Mapping

EXIT_CODES = (
    "0 done; 1 the daemon said no, or what was asked for did not happen; 2 wrong arguments or configuration; "
    "3 no daemon answers; 130 interrupted"
)

_HUB = "mlx-community/Qwen3-8B-4bit"

EXAMPLES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "init": (
        ("init", "write ~/.config/mlxd/config.yaml"),
        ("init --config work.yaml --force", "another file, replaced if it is there"),
    ),
    "start": (
        ("start", "in the background, until the next boot; `install` makes it last"),
        ("start --port 0 --json", "on any free port, and say which"),
    ),
    "stop": (
        ("stop", "let running requests and workers finish"),
        ("stop --force", "kill it if it has not left after 10 s"),
    ),
    "restart": (
        ("restart", "after an update, or a change that a reload does not take"),
        ("restart --port 8080", "with another option than before"),
    ),
    "reload": (("reload", "after editing the configuration; requests go on"),),
    "status": (
        ("status", "is it running, and as a service?"),
        ("status --json", "the same for a script; exit code 3 where it is not"),
    ),
    "install": (
        ("install", "run it at every login, and again after a crash"),
        ("install --port 8080 --with-secrets", "on another port, with this shell's HF_TOKEN"),
    ),
    "uninstall": (("uninstall", "stop the service and forget it"),),
    "ps": (("ps", "what is loaded, its pid and memory"), ("ps --json", "the same for a script")),
    "load": (
        ("load demo --keep-alive 2h", "have it ready, and keep it two hours without use"),
        (f"load {_HUB} --pin", "never unload it by itself"),
    ),
    "unload": (
        ("unload demo", "finish its requests, then end its process"),
        ("unload --all --force", "give back all memory now"),
    ),
    "plan": ((f"plan {_HUB}", "would it fit, and who would have to go?"),),
    "reset": (("reset demo", "try a model again that failed too often"),),
    "list": (("list", "what can be asked for"), ("list --json", "the same for a script")),
    "show": (("show demo", "kind, size, context, aliases, state"),),
    "pull": (
        (f"pull {_HUB}", "download it, or go on with half a download"),
        (f"pull {_HUB} --dry-run", "only say how large it is and whether it fits"),
    ),
    "rm": ((f"rm {_HUB}", "delete it from the disk, after asking"),),
    "search": (("search qwen3 4bit --limit 5", "find models, and say which of them fit"),),
    "recommend": (
        ("recommend", "the largest models that this machine holds"),
        ("recommend --kind embedding --memory 16GB", "of one kind, for another machine"),
    ),
    "chat": (
        ("chat demo", "talk until /bye"),
        ("chat demo --max-tokens 50 What is mlxd?", "ask once"),
        ("chat demo --json Hello", "the whole answer for a script"),
    ),
    "bench": (
        ("bench", "measure the model that is loaded"),
        ("bench demo --streams 16 --json", "sixteen answers at once, with all samples"),
    ),
    "logs": (
        ("logs -n 100", "the end of the daemon's log"),
        ("logs -f demo", "what a model's worker says, as it says it"),
    ),
    "doctor": (
        ("doctor", "look for what is wrong"),
        ("doctor --report", "text for a bug report, without secrets"),
    ),
    "connect": (
        ("connect", "list the programs"),
        ("connect codex", "what belongs into Codex's configuration"),
        ("connect litellm --container --model demo", "for a LiteLLM that runs in a container"),
    ),
    "completion": (
        ("completion bash", 'for eval "$(mlxctl completion bash)" in ~/.bashrc'),
        ("completion zsh", 'for eval "$(mlxctl completion zsh)" in ~/.zshrc'),
        ("completion fish", "for ~/.config/fish/completions/mlxctl.fish"),
    ),
    "keys": (("keys list", "who may use this daemon"),),
    "keys add": (
        ("keys add laptop", "a key for all models"),
        ("keys add ci --model demo --requests-per-minute 60 --expires-in 90d", "a small one"),
        ("keys add me --right admin", "one that may load, unload and delete"),
    ),
    "keys list": (("keys list --json", "names, rights and limits; no key is shown twice"),),
    "keys revoke": (("keys revoke laptop", "it is worth nothing from now on"),),
    "keys rotate": (
        ("keys rotate ci", "the same rights, a new key"),
        ("keys rotate ci --grace 10m", "and ten minutes to tell everybody"),
    ),
    "events": (
        ("events -n 50", "what happened, and why"),
        ("events -f --json", "as it happens, an object per line"),
    ),
}
"""Path of a command -> lines without the leading `mlxctl`, and what each is for."""
