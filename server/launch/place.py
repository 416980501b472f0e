"""Places of engines: which hosts may take a model, and one spec moved to another place. Pure.

A place is (hosts, container name, port). The first place on a host bears the configured name and
port, the next ones a number behind both, so that several engines stand side by side. Refuses to
choose: that is the swap room's.
"""

from dataclasses import replace

from server.launch.model import LaunchSpec, Node

DEFAULT_SHARE = 0.9
"""vLLM's own gpu_memory_utilization."""
LAST_PORT = 65535


def name_of(container: str, slot: int) -> str:
    return container if slot == 0 else f"{container}-{slot}"


def moved(spec: LaunchSpec, nodes: tuple[Node, ...], container: str, port: int) -> LaunchSpec:
    """The same run in another place. The fingerprint stays: it says what runs, not where."""
    words = list(spec.argv)
    at = words.index("--port") + 1 if "--port" in words else len(words)
    if at < len(words):  # the plan's own flag comes before any that a person added
        words[at] = str(port)
    return replace(spec, nodes=nodes, container=container, port=port, argv=tuple(words))


def share(spec: LaunchSpec) -> float:
    """Of each host's memory that the engine takes: what it is told, else vLLM's own default. A
    flag that is given twice counts as vLLM reads it: the last one."""
    told = ""
    for at, word in enumerate(spec.argv):
        flag, equals, value = word.partition("=")
        if flag == "--gpu-memory-utilization":
            told = value if equals else next(iter(spec.argv[at + 1 : at + 2]), "")
    try:
        return float(told)
    except ValueError:
        return DEFAULT_SHARE
