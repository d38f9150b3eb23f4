"""Call LiteLLM as a program of its own, in an environment of its own: a line of JSON in, a line of JSON out."""

import importlib
import json
import os
import sys
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it asks the internet what models cost


def run() -> None:
    """Make the calls that come on stdin: `[function, arguments]`; answer `[kind, value]` for each."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the library prints is no answer
    library: Any = importlib.import_module("litellm")
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            told = _plain(getattr(library, name)(**arguments))
            answer = ["parts" if arguments.get("stream") else "whole", told]
        except Exception as error:
            about = {"status": getattr(error, "status_code", None), "message": str(error)}
            answer = [type(error).__name__, about]
        print(json.dumps(answer), file=answers, flush=True)


def _plain(told: Any) -> Any:
    if hasattr(told, "model_dump"):
        return told.model_dump(mode="json")
    return [part.model_dump(mode="json") for part in told]


if __name__ == "__main__":
    run()
