"""Train the demo model: one deterministic run from a seed to a model folder."""

import importlib
import itertools
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_unflatten
from tokenizers import Tokenizer

from models import tokenizer as tokenizers_
from models.demo_rows import Batch, batches, corpus
from models.fast_forward import cross_entropy, hidden_states
from models.kinds import QWEN

CONFIG: Final[dict[str, Any]] = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "vocab_size": 1024,
    "hidden_size": 192,
    "num_hidden_layers": 5,
    "intermediate_size": 320,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "torch_dtype": "bfloat16",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast to learn."""

    steps: int
    seed: int = 0
    batch_tokens: int = 4096
    muon_rate: float = 0.015
    adam_rate: float = 3e-3
    warmup: int = 60
    cooldown: int = 400
    resume: bool = False
    save_every: int = 200


def prepare(folder: Path, seed: int) -> Tokenizer:
    """Write everything of the model folder but the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tokenizers_.train(corpus(seed), CONFIG["vocab_size"], QWEN)
    tokenizers_.save(tokenizer, QWEN, folder, CONFIG["max_position_embeddings"])
    end, pad = tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")
    config = CONFIG | {"bos_token_id": None, "eos_token_id": end, "pad_token_id": pad}
    tokenizers_.write_json(folder / "config.json", config)
    tokenizers_.write_json(
        folder / "generation_config.json",
        {"do_sample": False, "eos_token_id": [end, pad], "pad_token_id": pad},
    )
    return tokenizer


def new_model(folder: Path, seed: int) -> Any:
    """Make the model that config.json describes, with random weights."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    qwen3 = importlib.import_module("mlx_lm.models.qwen3")
    mx.random.seed(seed)
    model = qwen3.Model(qwen3.ModelArgs.from_dict(config))
    mx.eval(model.parameters())
    return model


def save_weights(model: Any, folder: Path, dtype: mx.Dtype = mx.bfloat16) -> None:
    """Write model.safetensors, in one step so that a stop never leaves half a file."""
    part = folder / "part.safetensors"
    weights = {name: value.astype(dtype) for name, value in tree_flatten(model.parameters())}
    mx.save_safetensors(str(part), weights, metadata={"format": "mlx"})
    part.replace(folder / "model.safetensors")


def _optimizer(plan: Plan) -> Any:
    def schedule(peak: float) -> Any:
        flat = plan.steps - plan.cooldown
        return optim.join_schedules(
            [
                optim.linear_schedule(peak / 20, peak, plan.warmup),
                optim.linear_schedule(peak, peak, flat),
                optim.linear_schedule(peak, peak / 100, max(1, plan.steps - flat)),
            ],
            [plan.warmup, flat],
        )

    muon = optim.Muon(schedule(plan.muon_rate), weight_decay=0.01)
    adam = optim.AdamW(schedule(plan.adam_rate), betas=[0.9, 0.98], weight_decay=0.0)
    return optim.MultiOptimizer(
        [muon, adam], [lambda name, weight: weight.ndim == 2 and "embed" not in name]
    )


def _loss(model: Any, batch: Batch) -> mx.array:
    hidden = hidden_states(model, mx.array(batch.tokens))
    picked = hidden.reshape(-1, hidden.shape[-1])[mx.array(batch.positions)]
    logits = model.model.embed_tokens.as_linear(picked)
    return cross_entropy(logits, mx.array(batch.targets)).mean()


def _keep(folder: Path, model: Any, optimizer: Any, step: int, name: str = "checkpoint") -> None:
    state = {f"model.{name}": value for name, value in tree_flatten(model.parameters())}
    state |= {f"optimizer.{name}": value for name, value in tree_flatten(optimizer.state)}
    part = folder / "part.safetensors"
    mx.save_safetensors(str(part), state, metadata={"step": str(step)})
    part.replace(folder / f"{name}.safetensors")


def _restore(folder: Path, model: Any, optimizer: Any) -> int:
    state, metadata = mx.load(str(folder / "checkpoint.safetensors"), return_metadata=True)
    for prefix, owner in (("model.", model), ("optimizer.", optimizer)):
        flat = [
            (name.removeprefix(prefix), v) for name, v in state.items() if name.startswith(prefix)
        ]
        tree = tree_unflatten(flat)
        if owner is model:
            model.update(tree)
        else:
            optimizer.state = tree
    return int(metadata["step"])


def train(folder: Path, plan: Plan, tokenizer: Tokenizer) -> Any:
    """Learn for `plan.steps` steps, saving weights and a checkpoint on the way."""
    model, optimizer = new_model(folder, plan.seed), _optimizer(plan)
    optimizer.init(model.trainable_parameters())
    first = _restore(folder, model, optimizer) if plan.resume else 0
    gradients = nn.value_and_grad(model, lambda batch: _loss(model, batch))
    began, seen, total = time.monotonic(), 0, 0.0
    stream = itertools.islice(batches(plan.seed, tokenizer, plan.batch_tokens), first, plan.steps)
    for step, batch in enumerate(stream, first):
        loss, grads = gradients(batch)
        grads, _ = optim.clip_grad_norm(grads, 1.0)
        optimizer.update(model, grads)
        mx.eval(model.parameters(), optimizer.state, loss)
        total, seen = total + loss.item(), seen + sum(map(len, batch.tokens))
        if (step + 1) % 25 == 0:
            print(
                f"step {step + 1}/{plan.steps}  loss {total / 25:.4f}  "
                f"{seen / (time.monotonic() - began):.0f} tokens/s",
                flush=True,
            )
            total = 0.0
        if (step + 1) % plan.save_every == 0 or step + 1 == plan.steps:
            save_weights(model, folder)
            _keep(folder, model, optimizer, step + 1)
        if step + 1 == plan.steps - plan.cooldown:
            _keep(folder, model, optimizer, step + 1, "before-cooldown")
    return model
