"""A model directory as the engine reads it: config, tokenizer and safetensors headers, for real.

Owns vLLM's complaints about a directory that is broken. Refuses to guess: what cannot be read is
raised as `LoadError` with the message vLLM or transformers would print.
"""

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.sim.families import KNOWN_ARCHITECTURES


class LoadError(Exception):
    """The engine cannot start. `kind` is the Python exception name that the log shows."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


@dataclass(frozen=True, slots=True)
class Shard:
    name: str
    bytes: int
    tensors: int


@dataclass(frozen=True, slots=True)
class ModelDirectory:
    """What was read. `vocabulary` is every plain word of the tokenizer, in id order."""

    path: Path
    config: dict[str, Any]
    shards: tuple[str, ...]
    vocabulary: tuple[str, ...]
    token_ids: dict[str, int]

    @property
    def text_config(self) -> dict[str, Any]:
        for key in ("text_config", "llm_config", "language_config"):
            if isinstance(self.config.get(key), dict):
                inner: dict[str, Any] = self.config[key]
                return inner
        return self.config

    @property
    def context(self) -> int:
        return int(self.text_config.get("max_position_embeddings", 32768))

    def kv_bytes_per_token(self, dtype_bytes: int) -> int:
        config = self.text_config
        heads = int(config["num_attention_heads"])
        kv_heads = int(config.get("num_key_value_heads", heads))
        size = int(config.get("head_dim") or int(config["hidden_size"]) // heads)
        return 2 * int(config["num_hidden_layers"]) * kv_heads * size * dtype_bytes


def open_directory(path: Path, shown: str) -> ModelDirectory:
    """Read everything but the weights. `shown` is the name the user gave."""
    config = _json(path, "config.json", shown)
    architectures = config.get("architectures") or []
    if not architectures or not set(architectures) & set(KNOWN_ARCHITECTURES):
        raise LoadError(
            "ValueError",
            f"Model architectures {architectures} are not supported for now. "
            f"Supported architectures: dict_keys({list(KNOWN_ARCHITECTURES)})",
        )
    vocabulary: dict[str, int] = _json(path, "tokenizer.json", shown)["model"]["vocab"]
    ordered = sorted(vocabulary, key=vocabulary.__getitem__)
    words = tuple(word for word in ordered if word.isalpha())
    if not words:
        raise LoadError("ValueError", f"tokenizer.json of {shown} has no words")
    return ModelDirectory(path, config, _shards(path, shown), words, vocabulary)


def _json(path: Path, name: str, shown: str) -> dict[str, Any]:
    try:
        body = json.loads((path / name).read_text())
    except FileNotFoundError:
        if name == "config.json":
            message = (
                f"Invalid repository ID or local directory specified: '{shown}'.\n"
                "Please verify the following requirements:\n"
                "1. Provide a valid Hugging Face repository ID.\n"
                "2. Specify a local directory that contains a recognized configuration file.\n"
                "   - For Hugging Face models: ensure the presence of a 'config.json'."
            )
            raise LoadError("ValueError", message) from None
        raise LoadError(
            "OSError",
            f"Can't load tokenizer for '{shown}'. If you were trying to load it from "
            "'https://huggingface.co/models', make sure you don't have a local directory with "
            "the same name.",
        ) from None
    except ValueError:
        raise LoadError(
            "OSError", f"It looks like the config file at '{path / name}' is not a valid JSON file."
        ) from None
    if not isinstance(body, dict):
        raise LoadError("OSError", f"'{path / name}' does not hold a JSON object.")
    return body


def _shards(path: Path, shown: str) -> tuple[str, ...]:
    index = path / "model.safetensors.index.json"
    if index.exists():
        return tuple(sorted(set(json.loads(index.read_text())["weight_map"].values())))
    single = sorted(file.name for file in path.glob("*.safetensors"))
    if not single:
        raise LoadError("RuntimeError", f"Cannot find any model weights with `{shown}`")
    return tuple(single)


def read_shard(path: Path, name: str) -> Shard:
    """Read one safetensors file as the format demands: header length, header, data of that size."""
    file = path / name
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        raise LoadError(
            "FileNotFoundError", f"[Errno 2] No such file or directory: '{file}'"
        ) from None
    problem = "SafetensorError"
    if len(raw) < 8:
        raise LoadError(problem, "Error while deserializing header: header too small")
    (length,) = struct.unpack("<Q", raw[:8])
    if length > len(raw) - 8:
        raise LoadError(
            problem, "Error while deserializing header: incomplete metadata, file not fully covered"
        )
    try:
        header = json.loads(raw[8 : 8 + length])
    except ValueError:
        raise LoadError(
            problem, "Error while deserializing header: invalid JSON in header"
        ) from None
    header.pop("__metadata__", None)
    end = max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
    if end != len(raw) - 8 - length:
        raise LoadError(
            problem, "Error while deserializing header: incomplete metadata, file not fully covered"
        )
    return Shard(name, end, len(header))
