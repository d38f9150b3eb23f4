"""Compute with torch what the tiny encoders should answer: `python -m models.encoder_references FOLDERS... > FILE`.

Run by hand when a family is added, in an environment with torch and transformers, neither of which mlxd needs. The
folders are what `make-model` wrote; the weights follow from their names, so that the answers hold for anybody's.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

TEXTS: Final = (
    "Hello world",
    "The quick brown fox jumps over the lazy dog.",
    "What is the weather in Paris today? " * 8,
    "café 你好 🙂",
)
QUERY: Final = "What is the weather in Paris?"


def main(folders: list[str]) -> None:
    """Print the answers of all folders as JSON."""
    import torch

    torch.set_grad_enabled(False)
    found = {Path(folder).name: _answers(Path(folder)) for folder in folders}
    json.dump(found, sys.stdout, indent=0)
    print()


def _answers(folder: Path) -> Any:
    if "reranker" not in folder.name:
        return [_vector(folder, text) for text in TEXTS]
    return _judged(folder) if folder.name.startswith("qwen3") else _classified(folder)


def _loaded(folder: Path, kind: str) -> tuple[Any, Any]:
    import transformers

    words = transformers.PreTrainedTokenizerFast.from_pretrained(str(folder))
    model, told = getattr(transformers, kind).from_pretrained(str(folder), output_loading_info=True)
    missing = [name for name in told["missing_keys"] if "pooler" not in name]
    if missing or told["unexpected_keys"]:
        raise SystemExit(f"{folder}: missing {missing}, unexpected {told['unexpected_keys']}")
    return words, model.eval()


def _vector(folder: Path, text: str) -> list[float]:
    import safetensors.torch
    import torch

    words, model = _loaded(folder, "AutoModel")
    given = words(text, return_tensors="pt")
    given.pop("token_type_ids", None)
    states = model(**given).last_hidden_state[0]
    pooling = json.loads((folder / "1_Pooling" / "config.json").read_text())
    if pooling["pooling_mode_cls_token"]:
        vector = states[0]
    elif pooling["pooling_mode_lasttoken"]:
        vector = states[-1]
    else:
        vector = states.mean(0)
    for dense in sorted(folder.glob("*_Dense/model.safetensors")):
        vector = safetensors.torch.load_file(dense)["linear.weight"] @ vector
    return [round(value, 7) for value in torch.nn.functional.normalize(vector, dim=-1).tolist()]


def _classified(folder: Path) -> list[float]:
    words, model = _loaded(folder, "AutoModelForSequenceClassification")
    scores = []
    for text in TEXTS:
        given = words(QUERY, text, return_tensors="pt", return_token_type_ids=True)
        if getattr(model.config, "type_vocab_size", 1) < 2:
            given.pop("token_type_ids")
        scores.append(round(float(model(**given).logits[0, 0].sigmoid()), 7))
    return scores


def _judged(folder: Path) -> list[float]:
    words, model = _loaded(folder, "AutoModelForCausalLM")
    yes, no = words.convert_tokens_to_ids(["yes", "no"])
    system = (
        "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
        'Note that the answer can only be "yes" or "no".'
    )
    wanted = "Given a web search query, retrieve relevant passages that answer the query"
    scores = []
    for text in TEXTS:
        parts = (
            f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n<Instruct>: ",
            f"{wanted}\n<Query>: {QUERY}\n<Document>: ",
            text,
            "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
        )
        ids = [token for part in parts for token in words(part, add_special_tokens=False).input_ids]
        import torch

        logits = model(torch.tensor([ids])).logits[0, -1]
        scores.append(round(float((logits[yes] - logits[no]).sigmoid()), 7))
    return scores


if __name__ == "__main__":
    main(sys.argv[1:])
