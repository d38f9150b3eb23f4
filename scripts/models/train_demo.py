"""Train the demo model from its text, or examine one: `train-demo-model [DIR]`."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from models.demo_check import show
from models.demo_train import CHECKPOINT, prepare, train
from models.lean_import import spare_transformers

SHIPPED = Path(__file__).parents[2] / "config" / "demo_model"


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="train-demo-model", description=__doc__)
    parser.add_argument(
        "directory",
        type=Path,
        nargs="?",
        default=SHIPPED,
        help="model folder to write (config/demo_model)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of text and weights (0)")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--check", action="store_true", help="train nothing, only examine DIR")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Train, then examine; give 0."""
    given = _arguments(argv)
    spare_transformers()
    if not given.check:
        if "openblas" not in os.environ.get("LD_PRELOAD", ""):
            print("On Linux, preload OpenBLAS (see scripts/train-demo-model): it is far faster.")
        began = time.monotonic()
        words = prepare(given.directory, given.seed)
        train(given.directory, words, seed=given.seed, resume=given.resume)
        (given.directory / CHECKPOINT).unlink()
        print(f"trained for {(time.monotonic() - began) / 60:.0f} minutes")
    show(given.directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
