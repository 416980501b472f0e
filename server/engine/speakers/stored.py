"""Tensors out of a file that PyTorch saved before 2020, without PyTorch and without running it.

Such a file is four pickles (a magic number, a protocol number, facts about the machine, the
object), the list of the storages' keys, and the storages themselves. A pickle may call anything,
so the only names that are looked up here are the four that a dictionary of float tensors needs;
every other one ends the reading. Source of the layout: `torch/serialization.py`, function
`_legacy_load`.
"""

import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from server.engine.sound import Samples

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001


class _Storage(NamedTuple):
    key: str
    size: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]


class _Float:
    """Stands for `torch.FloatStorage`, which is only ever named."""


def _tensor(storage: _Storage, offset: int, shape: tuple[int, ...], *_: Any) -> _Tensor:
    return _Tensor(storage, offset, shape)


_KNOWN: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch", "FloatStorage"): _Float,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in weights") from None

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage, key, _, count, _ = pid
        if kind != "storage" or storage is not _Float:
            raise pickle.UnpicklingError("only storages of floats are read")
        return _Storage(str(key), int(count))


def tensors(path: Path, name: str) -> dict[str, "Samples"]:
    """The tensors of the dictionary `name` in the saved object. Raises pickle.UnpicklingError."""
    with path.open("rb") as file:
        if _Reader(file).load() != MAGIC or _Reader(file).load() != PROTOCOL:
            raise pickle.UnpicklingError("not a file that PyTorch saved in its old way")
        _Reader(file).load()
        saved = _Reader(file).load()[name]
        storages = {key: _floats(file) for key in _Reader(file).load()}
    return {key: _placed(tensor, storages) for key, tensor in saved.items()}


def _floats(file: IO[bytes]) -> "Samples":
    (count,) = struct.unpack("<q", file.read(8))
    return np.frombuffer(file.read(4 * count), "<f4")


def _placed(tensor: _Tensor, storages: Mapping[str, "Samples"]) -> "Samples":
    size = int(np.prod(tensor.shape, dtype=int))
    flat = storages[tensor.storage.key][tensor.offset : tensor.offset + size]
    return flat.reshape(tensor.shape)
