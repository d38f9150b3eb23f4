"""Compute vectors as a program with mlx-vlm would, one text after the other: a JSON list of texts per line in."""

import json
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
from mlx_vlm.embedding_loader import load_embedding_model
from mlx_vlm.models.pooling import read_pooling_config
from tokenizers import Tokenizer


def main(folder: Path) -> None:
    """Answer each line with how many vectors there are."""
    words = Tokenizer.from_file(str(folder / "tokenizer.json"))
    words.no_truncation()
    words.no_padding()
    model = load_embedding_model(folder)
    model.pooling_config = read_pooling_config(folder)
    for line in sys.stdin:
        found = []
        for text in json.loads(line):
            ids = words.encode(text).ids
            output = model(mx.array([ids]), attention_mask=mx.array([[1] * len(ids)]))
            found.append(np.array(output.text_embeds))
        print(len(found), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
