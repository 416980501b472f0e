"""A `Shell` of real processes here: argv is quoted into one line for a real `sh`, as for sshd."""

import asyncio
import json
import os
import shlex
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from server.catalog.service import CatalogService
from server.ssh.model import Result, Target

REPOSITORY = Path(__file__).resolve().parents[2]


class LocalShell:
    """Implements `run` of the Shell protocol. `ran` keeps the command lines."""

    def __init__(self, home: Path, sh: str = "/bin/sh") -> None:
        self.home = home
        self.sh = sh
        self.ran: list[str] = []

    @property
    def target(self) -> Target:
        return Target("spark-1", "127.0.0.1", 22, "ubuntu")

    async def run(
        self,
        argv: Sequence[str],
        *,
        deadline: float,
        stdin: bytes | None = None,
        check: bool = True,
    ) -> Result:
        line = shlex.join(argv)
        self.ran.append(line)
        process = await asyncio.create_subprocess_exec(
            self.sh,
            "-c",
            line,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.home,
            env={"HOME": str(self.home), "PATH": os.environ["PATH"]},
        )
        async with asyncio.timeout(deadline):
            out, err = await process.communicate(stdin or b"")
        assert process.returncode is not None
        assert not check or process.returncode == 0, err
        text, errors = out.decode(errors="replace"), err.decode(errors="replace")
        return Result(tuple(argv), process.returncode, text, errors, 0.0)


@pytest.fixture
def shell(tmp_path: Path) -> LocalShell:
    home = tmp_path / "home"
    home.mkdir()
    return LocalShell(home)


@pytest.fixture
def roots(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "models").mkdir()
    return (str((tmp_path / "models").resolve()),)


@pytest.fixture
def service(tmp_path: Path) -> CatalogService:
    """The shipped catalog with an empty data directory."""
    return CatalogService(
        REPOSITORY / "models.yaml", tmp_path / "models.override.yaml", lambda: ("/srv/models",)
    )


def safetensors(tensors: dict[str, int], short: int = 0) -> bytes:
    """A real safetensors file: header, then `sum(tensors)` bytes less `short`."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, length in tensors.items():
        header[name] = {"dtype": "U8", "shape": [length], "data_offsets": [at, at + length]}
        at += length
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"\0" * (at - short)


@pytest.fixture
def make_model() -> Callable[..., Path]:
    """Writes a small whole model directory with two indexed shards."""

    def make(path: Path, **config: Any) -> Path:
        path.mkdir(parents=True)
        (path / "config.json").write_text(json.dumps({"model_type": "qwen3", **config}))
        (path / "tokenizer.json").write_text("{}")
        weights = {}
        for number in (1, 2):
            name = f"model-{number:05d}-of-00002.safetensors"
            (path / name).write_bytes(safetensors({f"t{number}": 1000 * number, "b": 24}))
            weights[f"layer.{number}.weight"] = name
        index = {"metadata": {"total_size": 3048, "format": "pt"}, "weight_map": weights}
        (path / "model.safetensors.index.json").write_text(json.dumps(index, indent=2))
        return path

    return make


@pytest.fixture
def tensors() -> Callable[..., bytes]:
    return safetensors
