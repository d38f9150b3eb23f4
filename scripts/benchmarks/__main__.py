"""Choose a benchmark by name."""

import argparse
import asyncio
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.contenders import peers_of
from benchmarks.plot import draw

NAMES = {
    "decode": "tokens per second and gaps between them, at 1 to 64 streams",
    "prefill": "what a stream feels while a prompt of 4,096 tokens joins, and what that feels of the stream",
    "cache": "a conversation turn by turn, and after its worker was unloaded, with and without the disk tier",
    "mixed": "short requests among long ones",
    "speculate": "one row with tokens guessed ahead and without, by drafts and by repetition",
    "embed": "64 texts in as many requests at once, against one request and the library text by text",
    "floor": "the engine's loop without HTTP, against a plain argmax loop and mlx_lm.server's",
    "swap": "request to first token of a cold model, with and without standby, against the floor",
    "router": "what the supervisor adds to talking to the worker itself",
    "isolation": "a resident model's requests and /health while another model loads",
}
BESIDE_OTHERS = ("decode", "prefill", "cache", "mixed", "floor")
"""Those that run mlx_lm.server of the same venv in turns with mlxd."""


def main() -> int:
    """Run one benchmark and print its table, or JSON."""
    options = _parser().parse_args()
    wanted: dict[str, Any] = {} if options.runs is None else {"runs": options.runs}
    try:
        if options.peer:
            wanted["peers"] = peers_of(options.peer)
            if options.name not in BESIDE_OTHERS:
                raise ValueError(f"{options.name} takes no --peer")
        report = asyncio.run(importlib.import_module(f"benchmarks.{options.name}").run(**wanted))
        print(json.dumps(report.as_json(), indent=2) if options.json else report.as_text())
        if options.plot:
            draw(report, options.plot)
    except (ValueError, RuntimeError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    return 0


def _parser() -> argparse.ArgumentParser:
    names = "\n".join(f"  {name:10} {text}" for name, text in NAMES.items())
    parser = argparse.ArgumentParser(
        prog="scripts/bench", epilog=names, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--runs", type=int, help="interleaved runs of each contender")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the result into this file")
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=VENV",
        help="run vllm-mlx or rapid-mlx from this virtualenv too, as often as needed",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
