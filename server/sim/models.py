"""Small real model directories: true config, tokenizer and safetensors files, tiny tensors.

Owns their writing, plain or in the layout of the Hugging Face cache. Refuses real weights: the
tensors are a few hundred bytes of zeros, only their headers are as a real model's.
"""

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from server.sim.families import config_for

VOCABULARY = (
    "a about above across after again all also always an and answer any are as at away back be "
    "because been before begin below between bird both bread bridge bright build but by call can "
    "carry clear cloud cluster cold come copper could count cover cross dark day deep do does door "
    "down draw dry each early earth end even every eye far fast field find fire first follow for "
    "forest form found from full garden gentle give glass go gold good grain great green grow half "
    "hand has have he hear heat her here high hold home horse hour house how I idea if in inside "
    "into iron is it its just keep kind know lake lamp land large last late leaf learn left less "
    "letter light like line little long look made make many map mark may memory might mind model "
    "moon more morning most mountain move much must name near never new next night no north not "
    "now number of off often old on once one only open or order other our out over own paper part "
    "path people place plain plant point power press quick quiet rain read ready red rest right "
    "river road rock room round run said same sand sea second see seed set shade shape ship short "
    "should show side silver simple simulated sky slow small snow so some song soon sound south "
    "spark stand star start stay step still stone story stream street strong such summer sun table "
    "take tell than that the their them then there these they thing this those though thought "
    "through time to together too tree true turn under until up us use valley very voice walk wall "
    "warm watch water way we well west what when where which while white who why wide wind window "
    "winter with without wood word work would write year yes yet you young"
)

CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer() -> dict[str, Any]:
    """A valid `tokenizer.json`: whole words, punctuation, and the special tokens of ChatML."""
    special = ("<unk>", "<|endoftext|>", "<|im_start|>", "<|im_end|>")
    vocabulary = {
        token: at for at, token in enumerate((*special, ".", ",", "?", "!", *VOCABULARY.split()))
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": at,
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for at, token in enumerate(special)
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    }


def safetensors(tensors: Mapping[str, int]) -> bytes:
    """A safetensors file of one-dimensional BF16 tensors: name -> number of elements."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, count in tensors.items():
        end = offset + 2 * count
        header[name] = {"dtype": "BF16", "shape": [count], "data_offsets": [offset, end]}
        offset = end
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + bytes(offset)


def files(repository: str, shards: int = 3) -> dict[str, bytes]:
    """Every file of a complete tiny model, by its name in the directory."""
    config = config_for(repository)
    layers = int(config["num_hidden_layers"])
    names = [f"model.layers.{n}.self_attn.q_proj.weight" for n in range(layers)]
    names = ["model.embed_tokens.weight", *names, "lm_head.weight"]
    made: dict[str, bytes] = {}
    where: dict[str, str] = {}
    total = 0
    for shard in range(shards):
        part = names[shard::shards]
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        where |= dict.fromkeys(part, file)
        total += 2 * 32 * len(part)
        made[file] = safetensors(dict.fromkeys(part, 32))
    vocabulary = tokenizer()
    config["vocab_size"] = len(vocabulary["model"]["vocab"])
    index = {"metadata": {"total_size": total}, "weight_map": where}
    plain = {
        "config.json": config,
        "generation_config.json": {"eos_token_id": 3, "temperature": 0.7},
        "model.safetensors.index.json": index,
        "tokenizer.json": vocabulary,
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": "<|im_end|>",
            "unk_token": "<unk>",
            "chat_template": CHAT_TEMPLATE,
            "model_max_length": config["max_position_embeddings"],
        },
    }
    return made | {name: json.dumps(body, indent=2).encode() for name, body in plain.items()}


def write_directory(path: Path, repository: str, *, without: str | None = None) -> None:
    """A plain model directory; `without` leaves one file out, as a broken copy does."""
    path.mkdir(parents=True, exist_ok=True)
    for name, body in files(repository).items():
        if name != without:
            (path / name).write_bytes(body)


def cached(hub: Path, repository: str) -> Path:
    return hub / f"models--{repository.replace('/', '--')}"


def revision_of(repository: str) -> str:
    return hashlib.sha1(repository.encode(), usedforsecurity=False).hexdigest()


def write_cached(hub: Path, repository: str) -> Path:
    """One repository in the layout of the Hugging Face cache. Returns the snapshot."""
    root = cached(hub, repository)
    revision = revision_of(repository)
    snapshot = root / "snapshots" / revision
    for part in (root / "blobs", root / "refs", snapshot):
        part.mkdir(parents=True, exist_ok=True)
    for name, body in files(repository).items():
        put_blob(root, snapshot, name, body)
    (root / "refs" / "main").write_text(revision)
    return snapshot


def put_blob(root: Path, snapshot: Path, name: str, body: bytes) -> None:
    """A file of a snapshot is a relative link to a blob that is named by its hash."""
    digest = hashlib.sha256(body).hexdigest()
    (root / "blobs" / digest).write_bytes(body)
    link = snapshot / name
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(root / "blobs" / digest, snapshot))
