"""From a catalog entry and the settings to the frozen `LaunchSpec` that says what will run. Pure.

Refuses (InvalidValue) what cannot run at all. Whether it fits and whether the files are there is
asked elsewhere: a spec is a plan, not a promise.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, get_args

from server.base.errors import InvalidValue
from server.catalog.knobs import to_args
from server.catalog.model import Model, ModelFiles
from server.config.model import Engine as EngineSettings
from server.config.model import Host, Settings
from server.launch.model import LauncherName, LaunchSpec, Node

HF_INSIDE = "/root/.cache/huggingface"
_CACHES = ("vllm", "flashinfer")


def build_spec(model: Model, settings: Settings, *, files: ModelFiles | None = None) -> LaunchSpec:
    """Everything needed to start `model`, now and again later."""
    engine = settings.engine
    launcher = _launcher(model, engine)
    nodes = _nodes(model, settings)
    _check_split(model, files)
    image = model.image or engine.image
    facts: dict[str, Any] = {
        "model": model.id,
        "served_names": (model.id, *(name for name in model.aliases if name != model.id)),
        "source": model.source.ref,
        "local_path": model.source.path is not None,
        "launcher": launcher,
        "nodes": nodes,
        "image": "" if launcher == "bare" else image,
        "container": engine.container,
        "port": engine.port,
        "argv": _argv(model, engine, launcher),
        "env": tuple(sorted(model.env.items())),
        "mounts": _mounts(model, engine, launcher),
        "options": _options(engine, launcher),
    }
    return LaunchSpec(**facts, fingerprint=_fingerprint(facts))


def _launcher(model: Model, engine: EngineSettings) -> LauncherName:
    wanted = model.launcher or (engine.launcher if model.nodes == 1 else "launch-cluster")
    names: tuple[LauncherName, ...] = get_args(LauncherName)
    launcher = next((name for name in names if name == wanted), None)
    if launcher is None:
        raise InvalidValue(
            f"{wanted!r} is not a launcher: use {', '.join(names)}", param="launcher"
        )
    if model.nodes > 1 and launcher != "launch-cluster":
        raise InvalidValue(
            f"{model.id} wants {model.nodes} nodes, and the {launcher} launcher runs on one",
            param="launcher",
            advice="Use the launch-cluster launcher, or nodes: 1.",
        )
    if launcher == "launch-cluster" and engine.launch_cluster_dir is None:
        raise InvalidValue(
            "engine.launch_cluster_dir is not set, and launch-cluster is wanted",
            param="engine.launch_cluster_dir",
            advice="Set it to the checkout of spark-vllm-docker on the head node.",
        )
    return launcher


def _nodes(model: Model, settings: Settings) -> tuple[Node, ...]:
    """The hosts the entry names, else the default host, then those labelled llm, then the rest."""
    if model.hosts:
        chosen = [_named(name, settings) for name in model.hosts]
    else:
        chosen = _candidates(settings)
    if len(chosen) < model.nodes:
        raise InvalidValue(
            f"{model.id} wants {model.nodes} nodes, and {len(chosen)} can take it",
            param="nodes",
            advice="Add hosts under hosts:, or lower nodes.",
        )
    return tuple(
        Node(host.name, host.address, host.cluster_address) for host in chosen[: model.nodes]
    )


def groups(model: Model, settings: Settings) -> tuple[tuple[Node, ...], ...]:
    """The groups of hosts that may take `model`, the one of `build_spec` first. A model of one node
    may go to any host that the entry names; else to the default host when there is one, else to any
    labelled llm. One of several nodes has a single group."""
    first = _nodes(model, settings)
    if model.nodes > 1:
        return (first,)
    if model.hosts:
        pool = [_named(name, settings) for name in model.hosts]
    elif settings.engine.default_host is not None:
        pool = []
    else:
        pool = [host for host in settings.hosts if "llm" in host.labels]
    nodes = [(Node(host.name, host.address, host.cluster_address),) for host in pool]
    return tuple(dict.fromkeys((first, *nodes)))


def _named(name: str, settings: Settings) -> Host:
    host = settings.host(name)
    if host is None:
        raise InvalidValue(f"no host is named {name!r}", param="hosts")
    return host


def _candidates(settings: Settings) -> list[Host]:
    pool = sorted(settings.hosts, key=lambda host: "llm" not in host.labels)
    default = settings.engine.default_host
    if default is None:
        return pool
    return [_named(default, settings), *(host for host in pool if host.name != default)]


def _check_split(model: Model, files: ModelFiles | None) -> None:
    """Attention heads must divide evenly over the GPUs of a tensor-parallel group."""
    width = model.knobs.get("tensor_parallel_size", model.nodes)
    config = (files.config if files else None) or {}
    heads = _heads(config)
    if isinstance(width, int) and width > 1 and heads is not None and heads % width:
        raise InvalidValue(
            f"{model.id} has {heads} attention heads, which do not divide over {width} nodes",
            param="nodes",
            advice="Use a number of nodes that divides them, or pipeline_parallel_size.",
        )


def _heads(config: Any) -> int | None:
    for part in (config, config.get("text_config"), config.get("llm_config")):
        found = part.get("num_attention_heads") if hasattr(part, "get") else None
        if isinstance(found, int) and not isinstance(found, bool) and found > 0:
            return found
    return None


def _argv(model: Model, engine: EngineSettings, launcher: LauncherName) -> tuple[str, ...]:
    names = (model.id, *(name for name in model.aliases if name != model.id))
    words = ["vllm", "serve", model.source.ref, "--host", "0.0.0.0", "--port", str(engine.port)]  # noqa: S104
    words += ["--served-model-name", *names]
    if model.source.revision:
        words += ["--revision", model.source.revision]
    args = [*words, *to_args(model.knobs, model.nodes)]
    _check_words(args, launcher)
    return tuple(args)


def _check_words(words: Sequence[str], launcher: LauncherName) -> None:
    for word in words:
        if any(letter in word for letter in "\0\n\r"):
            raise InvalidValue(f"{word[:80]!r} holds a line break and cannot be an argument")
    if launcher == "launch-cluster" and any("{{" in word for word in words):
        raise InvalidValue("launch-cluster cannot pass an argument that holds '{{'")


def _mounts(
    model: Model, engine: EngineSettings, launcher: LauncherName
) -> tuple[tuple[str, str, bool], ...]:
    mounts: list[tuple[str, str, bool]] = []
    if launcher == "docker":
        mounts.append((engine.hf_home or "~/.cache/huggingface", HF_INSIDE, False))
        mounts += [(f"~/.cache/{name}", f"/root/.cache/{name}", False) for name in _CACHES]
        mounts.append(("~/.triton", "/root/.triton", False))
    if model.source.path is not None and launcher != "bare":
        mounts.append((model.source.path, model.source.path, True))
    for host, inside, _ in mounts:
        if ":" in host or ":" in inside:
            raise InvalidValue(f"{host!r} holds a colon and cannot be mounted", param="source.path")
    return tuple(mounts)


def _options(engine: EngineSettings, launcher: LauncherName) -> tuple[tuple[str, str], ...]:
    """What the launcher needs besides the argv. `bare` has no mount, so the cache goes by env."""
    wanted: dict[str, str | None] = {}
    if launcher == "launch-cluster":
        wanted = {
            "launch_cluster_dir": engine.launch_cluster_dir,
            "eth_if": engine.eth_if,
            "ib_if": engine.ib_if,
            "hf_home": engine.hf_home,
        }
    elif launcher == "bare":
        wanted = {"bare_venv": engine.bare_venv, "hf_home": engine.hf_home}
    return tuple((name, value) for name, value in wanted.items() if value)


def _fingerprint(facts: dict[str, Any]) -> str:
    deciding = {name: value for name, value in facts.items() if name != "nodes"}
    deciding["nodes"] = [(node.host, node.cluster_address) for node in facts["nodes"]]
    text = json.dumps(deciding, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
