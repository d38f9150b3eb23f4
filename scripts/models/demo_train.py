"""Train the demo model: one deterministic run from a seed to a model folder."""

import importlib
import itertools
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import mlx.core as mx
import mlx.optimizers as optim
from mlx.nn.utils import value_and_grad as grads_of
from mlx.utils import tree_flatten, tree_unflatten
from tokenizers import Tokenizer

from models import tokenizer as tokenizers_
from models.demo_rows import Batch, Mix, batches, corpus
from models.fast_forward import cross_entropy, hidden_states
from models.kinds import QWEN

BATCH_TOKENS: Final = 4096
SAVE_EVERY: Final = 100
CHECKPOINT: Final = "checkpoint.safetensors"
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
class Round:
    """One pass of learning: the rate rises, stays until step `flat`, then falls to nothing."""

    steps: int
    flat: int
    mix: Mix
    muon_rate: float
    adam_rate: float
    warmup: int = 60

    def optimizer(self) -> Any:
        """Make a fresh optimizer: Muon for the matrices, Adam for embeddings and norms."""
        # MLX's Muon adds the decay to the gradient before it normalises the sum: any decay at all
        # then shrinks a matrix with small gradients, at full speed, to nothing.
        muon = optim.Muon(self._rate(self.muon_rate), weight_decay=0.0)
        adam = optim.AdamW(self._rate(self.adam_rate), betas=[0.9, 0.98], weight_decay=0.0)
        return optim.MultiOptimizer(
            [muon, adam], [lambda name, weight: weight.ndim == 2 and "embed" not in name]
        )

    def _rate(self, peak: float) -> Any:
        schedules = [
            optim.linear_schedule(peak / 20, peak, self.warmup),
            optim.linear_schedule(peak, peak, self.flat),
            optim.linear_schedule(peak, peak / 100, max(1, self.steps - self.flat)),
        ]
        return optim.join_schedules(schedules, [self.warmup, self.flat])


ROUNDS: Final = (
    Round(steps=1800, flat=300, mix=Mix(0.4), muon_rate=0.015, adam_rate=3e-3),
    Round(steps=400, flat=60, mix=Mix(0.2, thoughts=0.4), muon_rate=0.004, adam_rate=8e-4),
)


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


def _flat(tree: Any) -> list[tuple[str, mx.array]]:
    flat: Any = tree_flatten(tree)
    return list(flat)


def save_weights(model: Any, folder: Path, dtype: mx.Dtype = mx.bfloat16) -> None:
    """Write model.safetensors, in one step so that a stop never leaves half a file."""
    part = folder / "part.safetensors"
    weights = {name: value.astype(dtype) for name, value in _flat(model.parameters())}
    mx.save_safetensors(str(part), weights, metadata={"format": "mlx"})
    part.replace(folder / "model.safetensors")


def _loss(model: Any, batch: Batch) -> Any:
    hidden = hidden_states(model, mx.array(batch.tokens))
    picked = hidden.reshape(-1, hidden.shape[-1])[mx.array(batch.positions)]
    logits = model.model.embed_tokens.as_linear(picked)
    losses: Any = cross_entropy(logits, mx.array(batch.targets))
    return losses.mean()


def _keep(folder: Path, model: Any, optimizer: Any, at: tuple[int, int]) -> None:
    state = {f"model.{name}": value for name, value in _flat(model.parameters())}
    state |= {f"optimizer.{name}": value for name, value in _flat(optimizer.state)}
    part = folder / "part.safetensors"
    mx.save_safetensors(str(part), state, metadata={"round": str(at[0]), "step": str(at[1])})
    part.replace(folder / CHECKPOINT)


def _restore(folder: Path, model: Any) -> tuple[int, int, Any]:
    loaded: Any = mx.load(str(folder / CHECKPOINT), return_metadata=True)
    state, metadata = loaded
    parts: dict[str, Any] = {"model": [], "optimizer": []}
    for name, value in state.items():
        owner, _, rest = name.partition(".")
        parts[owner].append((rest, value))
    model.update(tree_unflatten(parts["model"]))
    return int(metadata["round"]), int(metadata["step"]), parts["optimizer"]


def train(folder: Path, tokenizer: Tokenizer, *, seed: int = 0, resume: bool = False) -> None:
    """Learn round after round, leaving weights and a checkpoint on the way."""
    model = new_model(folder, seed)
    begin, first, state = _restore(folder, model) if resume else (0, 0, None)
    for number, plan in list(enumerate(ROUNDS))[begin:]:
        optimizer = plan.optimizer()
        optimizer.init(model.trainable_parameters())
        if state:
            optimizer.state = tree_unflatten(state)
        source = batches(seed + number, tokenizer, BATCH_TOKENS, plan.mix)
        steps = enumerate(itertools.islice(source, first, plan.steps), first + 1)
        for step in _learn(model, optimizer, steps, f"round {number + 1}, step {{}}/{plan.steps}"):
            if step % SAVE_EVERY == 0 or step == plan.steps:
                save_weights(model, folder)
                _keep(folder, model, optimizer, (number, step))
        first, state = 0, None


def _learn(
    model: Any, optimizer: Any, steps: Iterable[tuple[int, Batch]], label: str
) -> Iterator[int]:
    clip: Any = optim.clip_grad_norm
    gradients: Any = grads_of(model, lambda batch: _loss(model, batch))
    began, seen, losses = time.monotonic(), 0, 0.0
    for step, batch in steps:
        loss, grads = gradients(batch)
        grads, _ = clip(grads, 1.0)
        optimizer.update(model, grads)
        mx.eval(model.parameters(), optimizer.state, loss)
        losses, seen = losses + loss.item(), seen + sum(map(len, batch.tokens))
        if step % 25 == 0:
            speed = seen / (time.monotonic() - began)
            print(f"{label.format(step)}  loss {losses / 25:.4f}  {speed:.0f} tokens/s", flush=True)
            losses = 0.0
        yield step
