"""The options of the docker commands that are played, and docker's own words when one is wrong.

Pure. Owns parsing of `docker …` argv into values; refuses options that docker does not have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


RUN_FLAGS = _names(
    "detach rm privileged interactive tty init read-only no-healthcheck publish-all "
    "oom-kill-disable quiet sig-proxy disable-content-trust"
)
RUN_VALUES = _names(
    "name network net gpus ipc shm-size ulimit env env-file volume mount entrypoint label "
    "label-file publish restart memory memory-swap memory-reservation pids-limit cap-add cap-drop "
    "security-opt device user workdir hostname log-opt log-driver pull stop-timeout stop-signal "
    "cidfile runtime oom-score-adj cgroupns pid tmpfs add-host group-add cpus cpuset-cpus "
    "platform health-cmd "
    "health-interval health-retries health-timeout health-start-period dns expose volumes-from "
    "annotation cgroup-parent cpu-shares device-cgroup-rule domainname ip link mac-address sysctl "
    "userns uts"
)

TABLES: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "run": (RUN_FLAGS, RUN_VALUES),
    "ps": (
        _names("all no-trunc quiet latest size"),
        _names("filter format last"),
    ),
    "inspect": (frozenset({"size"}), frozenset({"format", "type"})),
    "logs": (_names("follow timestamps details"), _names("tail since until")),
    "stop": (frozenset(), _names("time timeout signal")),
    "restart": (frozenset(), _names("time timeout signal")),
    "start": (_names("attach interactive"), frozenset()),
    "kill": (frozenset(), frozenset({"signal"})),
    "rm": (_names("force volumes link"), frozenset()),
    "wait": (frozenset(), frozenset()),
    "exec": (
        _names("detach interactive tty privileged"),
        _names("env env-file user workdir"),
    ),
    "top": (frozenset(), frozenset()),
    "pull": (_names("quiet all-tags"), frozenset({"platform"})),
    "images": (
        _names("all no-trunc quiet digests"),
        _names("filter format"),
    ),
    "image inspect": (frozenset(), frozenset({"format", "platform"})),
    "rmi": (_names("force no-prune"), frozenset()),
    "version": (frozenset(), frozenset({"format"})),
    "info": (frozenset(), frozenset({"format"})),
    "stats": (_names("all no-stream no-trunc"), frozenset({"format"})),
}

SHORT: Mapping[str, str] = {
    "d": "detach",
    "i": "interactive",
    "t": "tty",
    "e": "env",
    "v": "volume",
    "l": "label",
    "p": "publish",
    "m": "memory",
    "u": "user",
    "w": "workdir",
    "h": "hostname",
    "a": "all",
    "q": "quiet",
    "f": "filter",
    "n": "last",
}

SHORT_OF: Mapping[str, Mapping[str, str]] = {
    "logs": {"f": "follow", "t": "timestamps", "n": "tail"},
    "stop": {"t": "time", "s": "signal"},
    "restart": {"t": "time", "s": "signal"},
    "kill": {"s": "signal"},
    "rm": {"f": "force", "v": "volumes"},
    "rmi": {"f": "force"},
    "inspect": {"f": "format", "s": "size"},
    "image inspect": {"f": "format"},
    "version": {"f": "format"},
    "info": {"f": "format"},
}

LEAST: Mapping[str, int] = {
    "run": 1, "inspect": 1, "logs": 1, "stop": 1, "restart": 1, "start": 1, "kill": 1, "rm": 1,
    "wait": 1, "exec": 2, "top": 1, "pull": 1, "image inspect": 1, "rmi": 1,
}  # fmt: skip

NESTED: Mapping[str, str] = {"container ls": "ps", "container ps": "ps", "container list": "ps"}
NESTED_IMAGES: Mapping[str, str] = {
    "image ls": "images",
    "image list": "images",
    "image rm": "rmi",
    "image pull": "pull",
    "image inspect": "image inspect",
}


class DockerError(Exception):
    """What the docker client writes to stderr, and its exit code."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


@dataclass(frozen=True, slots=True)
class Command:
    """A parsed command: flags, values by long name (all of them, in order), and the words after."""

    name: str
    flags: frozenset[str] = frozenset()
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    words: tuple[str, ...] = ()

    def value(self, *names: str) -> str | None:
        """The last value given under any of the names."""
        for name in names:
            if name in self.values:
                return self.values[name][-1]
        return None


def parse(argv: Sequence[str]) -> Command:
    """`docker` argv without the program name. Raises DockerError."""
    words = list(argv)
    while words and words[0] in ("-D", "--debug"):
        words.pop(0)
    if not words:
        raise DockerError("Usage:  docker [OPTIONS] COMMAND\n", 0)
    if words[0] in ("--version", "-v"):
        words[0] = "version"
    name = words.pop(0)
    if name in ("container", "image") and words:
        joined = f"{name} {words.pop(0)}"
        name = NESTED.get(joined) or NESTED_IMAGES.get(joined) or joined.removeprefix("container ")
    if name not in TABLES:
        raise DockerError(
            f"docker: unknown command: docker {name}\n\nRun 'docker --help' for more information\n"
        )
    return _options(name, words)


def _options(name: str, words: list[str]) -> Command:
    flags: set[str] = set()
    values: dict[str, list[str]] = {}
    rest: list[str] = []
    interspersed = name not in ("run", "exec", "top")
    while words:
        word = words.pop(0)
        if word == "--":
            rest += words
            break
        if not word.startswith("-") or word == "-":
            rest.append(word)
            if not interspersed:
                rest += words
                break
        elif word.startswith("--"):
            _long(name, word, words, flags, values)
        else:
            _cluster(name, word[1:], words, flags, values)
    least = LEAST.get(name, 0)
    if len(rest) < least:
        raise _too_few(name, least)
    return Command(name, frozenset(flags), {k: tuple(v) for k, v in values.items()}, tuple(rest))


def _too_few(name: str, least: int) -> DockerError:
    plural = "argument" if least == 1 else "arguments"
    return DockerError(
        f"docker: 'docker {name}' requires at least {least} {plural}\n\n"
        f"Usage:  docker {name} [OPTIONS] …\n\nSee 'docker {name} --help' for more information\n"
    )


def _unknown(name: str, what: str) -> DockerError:
    return DockerError(
        f"unknown {what}\n\nUsage:  docker {name} [OPTIONS] …\n\n"
        f"Run 'docker {name} --help' for more information\n",
        125,
    )


def _long(
    name: str, word: str, words: list[str], flags: set[str], values: dict[str, list[str]]
) -> None:
    known, valued = TABLES[name]
    key, equals, inline = word[2:].partition("=")
    if key in known:
        if not equals or inline == "true":
            flags.add(key)
    elif key in valued:
        values.setdefault(key, []).append(inline if equals else _next(key, words))
    else:
        raise _unknown(name, f"flag: --{key}")


def _cluster(
    name: str, letters: str, words: list[str], flags: set[str], values: dict[str, list[str]]
) -> None:
    known, valued = TABLES[name]
    while letters:
        letter, letters = letters[0], letters[1:]
        key = SHORT_OF.get(name, {}).get(letter) or SHORT.get(letter, "")
        if key in known:
            flags.add(key)
        elif key in valued:
            values.setdefault(key, []).append(letters.removeprefix("=") or _next(letter, words))
            return
        else:
            raise _unknown(name, f"shorthand flag: {letter!r} in -{letter}{letters}")


def _next(key: str, words: list[str]) -> str:
    if not words:
        dashes = "-" if len(key) == 1 else "--"
        raise DockerError(f"flag needs an argument: {dashes}{key}\n", 125)
    return words.pop(0)
