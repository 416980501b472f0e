"""Whether a model fits into a Spark, with arithmetic a person can check. Pure.

Counts per node: weights / nodes + a stated reserve for activations and CUDA graphs + the KV cache
of the longest request, against `gpu_memory_utilization` x MemTotal, and that against what is free
now. What cannot be counted makes the verdict `unknown`, unless what can be counted is too much.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from server.base.units import GIB, size
from server.catalog.geometry import Geometry, quantised, read_geometry

Verdict = Literal["fits", "tight", "cannot", "unknown"]

BASE_RESERVE = 2 * GIB
BYTES_PER_ACTIVATION = 32
DEFAULT_UTILIZATION = 0.9
DEFAULT_BATCH = 8192
HOST_MARGIN = 6 * GIB
FREE_MARGIN = 2 * GIB
_ON_THE_FLY = {"fp8": 0.5, "bitsandbytes": 0.3}
_KV_BITS = {"fp8": 8.0, "nvfp4": 4.5, "bfloat16": 16.0, "float16": 16.0}


@dataclass(frozen=True, slots=True)
class Fit:
    """All sizes are bytes on one node. None means it could not be told."""

    verdict: Verdict
    need_bytes: int | None
    weights_bytes: int | None
    kv_bytes_per_token: int | None
    kv_bytes: int | None
    max_tokens: int | None
    lines: tuple[str, ...]
    budget_bytes: int | None = None
    reserve_bytes: int | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"lines": list(self.lines)}


@dataclass(slots=True)
class _Sum:
    """The sheet that is filled in, line by line."""

    lines: list[str]
    unknown: list[str]
    no: list[str]
    close: list[str]


@dataclass(frozen=True, slots=True)
class _Cache:
    """The KV cache on one node. `rows` grow with every token, `windows` up to `window` tokens."""

    rows: float
    windows: float
    window: int

    def bytes(self, tokens: int) -> int:
        return math.ceil(self.rows * tokens + self.windows * min(tokens, self.window))

    def tokens(self, room: float) -> int | None:
        """The longest request that has room; None when its size does not depend on its length."""
        both = self.rows + self.windows
        if both <= 0:
            return None
        if room <= both * self.window or self.rows <= 0:
            return max(0, int(room // both)) if room <= both * self.window else None
        return int((room - self.windows * self.window) // self.rows)


def fit(  # noqa: PLR0917 - the order is the sentence: this config, these weights, on these nodes
    config: Mapping[str, Any] | None,
    weight_bytes: int | None,
    knobs: Mapping[str, Any],
    nodes: int,
    memory_total: int | None,
    memory_available: int | None,
) -> Fit:
    """`memory_available` is what is free when this model starts, on the node with the least."""
    sheet = _Sum([], [], [], [])
    budget = _budget(knobs, memory_total, nodes, sheet)
    weights = _weights(config, weight_bytes, knobs, nodes, sheet)
    geometry = _geometry(config, sheet)
    reserve = _reserve(geometry, knobs, sheet)
    cache = _cache(geometry, knobs, nodes, sheet)
    longest = _longest(geometry, knobs)
    kv = cache.bytes(longest) if cache is not None and longest is not None else None
    room = None if budget is None or weights is None else budget - weights - reserve
    tokens = _room(room, cache, kv, longest, sheet)
    _free(budget, memory_total, memory_available, sheet)
    need = None if weights is None or kv is None else weights + reserve + kv
    verdict = _verdict(sheet)
    return Fit(
        verdict=verdict,
        need_bytes=need,
        weights_bytes=weights,
        kv_bytes_per_token=math.ceil(cache.rows + cache.windows) if cache else None,
        kv_bytes=kv,
        max_tokens=tokens,
        lines=tuple(f"{line[0].upper()}{line[1:]}." for line in sheet.lines),
        budget_bytes=budget,
        reserve_bytes=reserve,
    )


def _budget(knobs: Mapping[str, Any], total: int | None, nodes: int, sheet: _Sum) -> int | None:
    share = float(knobs.get("gpu_memory_utilization", DEFAULT_UTILIZATION))
    if total is None:
        sheet.unknown.append("how much memory the host has")
        return None
    budget = int(total * share)
    each = " on each node" if nodes > 1 else ""
    sheet.lines.append(f"engine: {share:.2f} x {size(total)} of memory = {size(budget)}{each}")
    if total - budget < HOST_MARGIN:
        sheet.close.append(f"only {size(total - budget)} is left for the system")
    return budget


def _weights(
    config: Mapping[str, Any] | None,
    weight_bytes: int | None,
    knobs: Mapping[str, Any],
    nodes: int,
    sheet: _Sum,
) -> int | None:
    if weight_bytes is None:
        sheet.unknown.append("how large the weights are (they are not on the host yet)")
        return None
    factor = _ON_THE_FLY.get(str(knobs.get("quantization")), 1.0)
    if factor != 1.0 and config is not None and not quantised(config):
        loaded = int(weight_bytes * factor)
        note = (
            f" ({size(weight_bytes)} on disk, quantised to {knobs['quantization']} while loading)"
        )
    else:
        loaded, note = weight_bytes, ""
    each = math.ceil(loaded / nodes)
    split = f" / {nodes} nodes = {size(each)}" if nodes > 1 else ""
    sheet.lines.append(f"weights: {size(loaded)}{split}{note}")
    if '"model"' in str(knobs.get("speculative_config", "")):
        sheet.close.append("the weights of the draft model are not counted")
    if knobs.get("cpu_offload_gb"):
        sheet.lines.append("cpu_offload_gb saves nothing here: CPU and GPU share one memory")
    return each


def _geometry(config: Mapping[str, Any] | None, sheet: _Sum) -> Geometry | None:
    if config is None:
        sheet.unknown.append("the KV cache (there is no config.json to read)")
        return None
    geometry = read_geometry(config)
    if isinstance(geometry, str):
        sheet.unknown.append(f"the KV cache ({geometry})")
        return None
    sheet.unknown += geometry.unknown
    return geometry


def _reserve(geometry: Geometry | None, knobs: Mapping[str, Any], sheet: _Sum) -> int:
    batch = int(knobs.get("max_num_batched_tokens", DEFAULT_BATCH))
    hidden = (geometry.hidden if geometry else None) or 8192
    reserve = BASE_RESERVE + batch * hidden * BYTES_PER_ACTIVATION
    sheet.lines.append(
        f"reserve for activations and CUDA graphs (estimate): {size(BASE_RESERVE)} + {batch} "
        f"tokens x {hidden} x {BYTES_PER_ACTIVATION} B = {size(reserve)}"
    )
    return reserve


def _cache(
    geometry: Geometry | None, knobs: Mapping[str, Any], nodes: int, sheet: _Sum
) -> _Cache | None:
    if geometry is None:
        return None
    stages = int(knobs.get("pipeline_parallel_size", 1))
    split = int(knobs.get("tensor_parallel_size", max(1, nodes // stages)))
    bits = _bits(geometry, knobs)
    heads = 1 if geometry.mla else math.ceil(geometry.kv_heads / split)
    layer = heads * geometry.row * bits / 8
    rows = layer * math.ceil(geometry.full_layers / stages)
    windows = layer * math.ceil(geometry.window_layers / stages)
    batch = int(knobs.get("max_num_batched_tokens", DEFAULT_BATCH))
    sheet.lines.append(_cache_line(geometry, heads, split, bits, rows + windows))
    return _Cache(rows, windows, geometry.window + batch if geometry.window_layers else 0)


def _cache_line(geometry: Geometry, heads: int, split: int, bits: float, total: float) -> str:
    layers = geometry.full_layers + geometry.window_layers
    what = "compressed (MLA), whole on every node" if geometry.mla else f"{heads} KV heads"
    if not geometry.mla and split > 1:
        copied = ", copied" if geometry.kv_heads < split else ""
        what += f" on each node (of {geometry.kv_heads}{copied})"
    each = f"{layers} layers x {what} x {geometry.row} x {bits / 8:g} B"
    text = f"KV cache: {each} = {size(total)} per token"
    if geometry.window_layers:
        text += f"; {geometry.window_layers} of the layers keep the last {geometry.window} tokens"
    return text


def _bits(geometry: Geometry, knobs: Mapping[str, Any]) -> float:
    name = str(knobs.get("kv_cache_dtype", "auto"))
    if name.startswith("fp8"):
        return _KV_BITS["fp8"]
    return _KV_BITS.get(name, float(geometry.kv_bits))


def _longest(geometry: Geometry | None, knobs: Mapping[str, Any]) -> int | None:
    asked = knobs.get("max_model_len")
    return int(asked) if asked is not None else (geometry.longest if geometry else None)


def _room(
    room: int | None, cache: _Cache | None, kv: int | None, longest: int | None, sheet: _Sum
) -> int | None:
    if room is None:
        return None
    if room <= 0:
        sheet.no.append(f"weights and reserve are {size(-room)} more than the engine may take")
        return 0
    if cache is None:
        sheet.lines.append(f"left for the KV cache: {size(room)}")
        return None
    tokens = cache.tokens(room)
    if kv is None or longest is None:
        sheet.unknown.append("how long a request may be")
    elif kv > room:
        sheet.no.append(
            f"a request of {longest:,} tokens needs {size(kv)} of KV cache and {size(room)} is "
            f"left: set max_model_len to {tokens or 0:,} or less"
        )
    else:
        times = room / kv if kv else math.inf
        sheet.lines.append(
            f"left for the KV cache: {size(room)}; a request of {longest:,} tokens needs {size(kv)}"
            f", so {times:.1f} of them fit"
        )
        if times < 1.25:
            sheet.close.append("there is room for one longest request only")
    return tokens


def _free(budget: int | None, total: int | None, free: int | None, sheet: _Sum) -> None:
    if budget is None or total is None:
        return
    if free is None:
        sheet.unknown.append("how much memory is free now")
        return
    sheet.lines.append(f"free now: {size(free)}; after the start {size(free - budget)}")
    if budget > free:
        share = math.floor(free / total * 100) / 100
        sheet.no.append(
            f"the engine takes {size(budget)} and {size(free)} is free: stop something, or set "
            f"gpu_memory_utilization to {share:.2f} or less"
        )
    elif free - budget < FREE_MARGIN:
        sheet.close.append(f"only {size(free - budget)} of free memory stays")


def _verdict(sheet: _Sum) -> Verdict:
    """The verdict, and its reasons as the last lines."""
    if sheet.no:
        sheet.lines += [f"does not fit: {reason}" for reason in sheet.no]
        return "cannot"
    if sheet.unknown:
        sheet.lines.append("not counted: " + "; ".join(sheet.unknown))
        return "unknown"
    if sheet.close:
        sheet.lines.append("tight: " + "; ".join(sheet.close))
        return "tight"
    sheet.lines.append("fits")
    return "fits"
