"""Choose a benchmark by name."""

import argparse
import asyncio
import importlib
import json

NAMES = {
    "swap": "request to first token of a cold model, with and without standby, against the floor",
    "router": "what the supervisor adds to talking to the worker itself",
    "decode": "tokens per second and gaps between them at 1 to 64 streams, beside mlx_lm.server",
    "isolation": "a resident model's requests and /health while another model loads",
}


def main() -> None:
    """Run one benchmark and print its table, or JSON."""
    names = "\n".join(f"  {name:10} {text}" for name, text in NAMES.items())
    parser = argparse.ArgumentParser(
        prog="scripts/bench", epilog=names, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--runs", type=int, help="interleaved runs of each contender")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    options = parser.parse_args()
    run = importlib.import_module(f"benchmarks.{options.name}").run
    report = asyncio.run(run() if options.runs is None else run(options.runs))
    print(json.dumps(report.as_json(), indent=2) if options.json else report.as_text())


if __name__ == "__main__":
    main()
