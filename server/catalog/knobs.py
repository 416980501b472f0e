"""Knobs: what may be set, and the exact flags they become. Pure; the table is in `knob_table`.

`check` collects every problem at once. `to_args` is the only place where a knob turns into words
of a command line; it takes only what `check` let through.
"""

import math
import re
from collections.abc import Mapping

from server.catalog.extra_args import check_extra_args, read_flags
from server.catalog.json_value import parse_json
from server.catalog.knob_table import KNOBS, Knob
from server.catalog.model import KnobValue
from server.catalog.text import not_ascii

__all__ = ["KNOBS", "Knob", "check", "check_each", "check_extra_args", "disagreements", "to_args"]

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
KnobProblem = tuple[str, str]


def check(knobs: object, nodes: int = 1) -> tuple[dict[str, KnobValue], list[KnobProblem]]:
    """The knobs that hold, and (name, sentence) for each that does not. None means not set."""
    clean, problems = check_each(knobs)
    return clean, problems + disagreements(clean, nodes)


def check_each(knobs: object) -> tuple[dict[str, KnobValue], list[KnobProblem]]:
    """As `check`, one by one: whether they go together is left to `disagreements`."""
    if knobs is None:
        return {}, []
    if not isinstance(knobs, Mapping):
        return {}, [("", "must be a mapping of knobs to values")]
    clean: dict[str, KnobValue] = {}
    problems: list[KnobProblem] = []
    for name, given in knobs.items():
        knob = KNOBS.get(name) if isinstance(name, str) else None
        if knob is None:
            problems.append((str(name), _unknown(str(name))))
        elif given is not None:
            value, found = _value(knob, given)
            problems += [(knob.name, text) for text in found]
            if value is not None and not found:
                clean[knob.name] = value
    return clean, problems


def _unknown(name: str) -> str:
    near = name.removeprefix("--").replace("-", "_")
    if near in KNOBS and near != name:
        return f"is not a knob: write {near}"
    return "is not a knob; flags without a knob go into extra_args"


def _value(knob: Knob, given: object) -> tuple[KnobValue | None, list[str]]:
    if knob.type == "args":
        tokens, problems = check_extra_args(given)
        return tokens, problems
    if knob.type == "bool":
        return (given, []) if isinstance(given, bool) else (None, ["must be true or false"])
    if knob.type == "json":
        text, problem = parse_json(given)
        return text, [problem] if problem else []
    if knob.type == "str":
        return _word(knob, given)
    return _number(knob, given)


def _word(knob: Knob, given: object) -> tuple[str | None, list[str]]:
    if not isinstance(given, str):
        return None, ["must be a text"]
    if knob.choices:
        if given in knob.choices:
            return given, []
        return None, [not_ascii(given) or f"must be one of {', '.join(knob.choices)}"]
    problem = not_ascii(given)
    if problem or not _WORD.fullmatch(given) or ".." in given:
        return None, [problem or "must be one plain word (letters, digits, . _ + -)"]
    return given, []


def _number(knob: Knob, given: object) -> tuple[int | float | None, list[str]]:
    whole = knob.type == "int"
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None, [f"must be a {'whole ' if whole else ''}number"]
    if isinstance(given, float) and (not math.isfinite(given) or (whole and given % 1)):
        return None, [f"must be a {'whole' if whole else 'finite'} number"]
    low, high = knob.minimum or 0, knob.maximum or 0
    if not low <= given <= high:
        return None, [f"must be between {low:g} and {high:g}" if not whole else
                      f"must be between {int(low)} and {int(high)}"]  # fmt: skip
    return (int(given) if whole else float(given)), []


def disagreements(knobs: Mapping[str, KnobValue], nodes: int) -> list[KnobProblem]:
    """What does not go together, with each other or with the number of nodes."""
    problems: list[KnobProblem] = []
    split, stages = knobs.get("tensor_parallel_size"), knobs.get("pipeline_parallel_size")
    ranks = _ranks(split, stages, nodes)
    if ranks is not None and ranks != nodes:
        name = "tensor_parallel_size" if split is not None else "pipeline_parallel_size"
        problems.append(
            (name, f"needs {ranks} GPUs, but nodes is {nodes} and each Spark has one GPU")
        )
    if knobs.get("enable_auto_tool_choice") is True and "tool_call_parser" not in knobs:
        problems.append(("enable_auto_tool_choice", "needs tool_call_parser"))
    extra = knobs.get("extra_args")
    if isinstance(extra, tuple):
        problems += [("extra_args", text) for text in _shadowed(extra, knobs)]
    return problems


def _ranks(split: object, stages: object, nodes: int) -> int | None:
    if isinstance(split, int):
        return split * (stages if isinstance(stages, int) else 1)
    if isinstance(stages, int):
        return nodes if nodes % stages == 0 else stages
    return None


def _shadowed(extra: tuple[str, ...], knobs: Mapping[str, KnobValue]) -> list[str]:
    """Flags in `extra_args` that have a knob: the value must hold, and not be set twice."""
    problems: list[str] = []
    for flag in read_flags(extra)[0]:
        knob = KNOBS.get(flag.name.replace("-", "_"))
        if knob is None:
            problems += _abbreviated(flag.token, flag.name)
        elif knob.name in knobs:
            problems.append(f"{flag.token} is also set by the knob {knob.name}: keep one of them")
        elif knob.name in {"tensor_parallel_size", "pipeline_parallel_size"}:
            problems.append(f"{flag.token} is refused: use the knob {knob.name}")
        elif knob.type == "bool" and flag.values:
            problems.append(f"{flag.token} takes no value")
        elif knob.type != "bool" and not flag.json_key:
            problems += _bad_flag_value(knob, flag.token, flag.values)
    return problems


def _abbreviated(token: str, name: str) -> list[str]:
    dashed = [knob.flag.removeprefix("--") for knob in KNOBS.values() if knob.flag]
    full = [other for other in dashed if other.startswith(name)]
    return [f"{token} is an abbreviation: write --{full[0]}"] if full else []


def _bad_flag_value(knob: Knob, token: str, values: tuple[str, ...]) -> list[str]:
    if len(values) != 1:
        return [f"{token} needs one value"]
    given: object = values[0]
    if knob.type in {"int", "float"}:
        try:
            given = float(values[0])
        except ValueError:
            return [f"{token} needs a number"]
    return [f"{token} {text}" for text in _value(knob, given)[1]]


def to_args(knobs: Mapping[str, KnobValue], nodes: int = 1) -> tuple[str, ...]:
    """The flags, in the order of the table. Derives tensor parallelism and tool choice."""
    args: list[str] = []
    for knob in KNOBS.values():
        value = knobs.get(knob.name)
        if knob.name == "tensor_parallel_size" and value is None:
            value = _derived_split(knobs, nodes)
        if knob.name == "enable_auto_tool_choice" and value is None:
            value = True if "tool_call_parser" in knobs else None
        if value is not None:
            args += _flag(knob, value)
    return tuple(args)


def _derived_split(knobs: Mapping[str, KnobValue], nodes: int) -> int | None:
    stages = knobs.get("pipeline_parallel_size")
    split = nodes // stages if isinstance(stages, int) and stages else nodes
    return split if split > 1 else None


def _flag(knob: Knob, value: KnobValue) -> list[str]:
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, bool):
        if value:
            return [knob.flag]
        return [f"--no-{knob.flag.removeprefix('--')}"] if knob.on_by_default else []
    text = str(value)
    return [f"{knob.flag}={text}"] if text.startswith("-") else [knob.flag, text]
