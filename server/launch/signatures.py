"""From a log that ended badly to its cause and next step, and the few lines worth showing. Pure.

Owns the choice between several matches (`signature_table` is the priority). Refuses to invent: a
log that matches nothing is `unknown` and says to read it.
"""

import re

from server.base.redact import escape_controls, redact, strip_ansi
from server.launch.model import Diagnosis
from server.launch.signature_table import GENERIC, TABLE, Signature

_WINDOW = 120_000
_BAR = re.compile(r"\d{1,3}%\s*(?:Completed\s*)?\|")
_NOTABLE = re.compile(r"error|exception|traceback|fatal|failed|killed|panic|warn", re.IGNORECASE)
_SIGNALS = {132: "an illegal instruction", 134: "an abort", 135: "a bus error", 139: "a crash"}


def diagnose(log: str, *, exit_code: int | None = None, oom_killed: bool = False) -> Diagnosis:
    """The best-known reason in `log`; the way it ended counts when the words do not say."""
    text = strip_ansi(log[-_WINDOW:]).replace("\r", "\n")
    seen = _find(text, TABLE)
    if seen is not None:
        return _sentence(*seen)
    if oom_killed or exit_code == 137:
        return _killed(oom_killed)
    seen = _find(text, GENERIC)
    if seen is not None:
        return _sentence(*seen)
    return _by_code(exit_code)


def _find(text: str, table: tuple[Signature, ...]) -> tuple[Signature, re.Match[str]] | None:
    for signature in table:
        last: re.Match[str] | None = None
        for last in signature.pattern.finditer(text):  # noqa: B007 (the last one is wanted)
            pass
        if last is not None:
            return signature, last
    return None


def _sentence(signature: Signature, match: re.Match[str]) -> Diagnosis:
    """Groups `x`, `x2`, `x3` are alternatives of one value."""
    values = dict.fromkeys(re.findall(r"\{(\w+)\}", signature.cause + signature.advice), "")
    for name, value in match.groupdict().items():
        if value:
            values[name.rstrip("0123456789")] = redact(escape_controls(value.strip(" .,;'\"")))[
                :200
            ]
    return Diagnosis(
        signature.code, _tidy(signature.cause, values), _tidy(signature.advice, values)
    )


def _tidy(sentence: str, values: dict[str, str]) -> str:
    filled = sentence.format(**values)
    filled = filled.replace(" ()", "").replace("()", "")
    return re.sub(r":\s*\.$", ".", re.sub(r"\s+([.,)])", r"\1", re.sub(r" {2,}", " ", filled)))


def _killed(oom_killed: bool) -> Diagnosis:
    how = (
        "The kernel killed the engine: its memory ran out."
        if oom_killed
        else ("The engine was killed (exit 137), most likely because memory ran out.")
    )
    return Diagnosis(
        "oom_killed", how, "Lower gpu_memory_utilization or max_model_len, or stop other programs."
    )  # fmt: skip


def _by_code(exit_code: int | None) -> Diagnosis:
    read = "Read the log of the engine."
    if exit_code in _SIGNALS:
        return Diagnosis("crashed", f"The engine ended with {_SIGNALS[exit_code]}.", read)
    if exit_code == 143:
        return Diagnosis("terminated", "The engine was asked to stop by somebody else.", read)
    if exit_code in {126, 127}:
        return Diagnosis("no_command", "The command could not be run.", "Check image or venv.")
    ending = "" if exit_code is None else f" (exit {exit_code})"
    return Diagnosis("unknown", f"The engine ended without a reason that we know{ending}.", read)


def excerpt(log: str, lines: int = 40) -> str:
    """At most `lines` lines around what explains the failure, redacted, without progress bars."""
    kept = [line for line in _readable(log) if line.strip()]
    if len(kept) <= lines:
        return "\n".join(kept)
    at = _centre(kept)
    if at is None:
        return "\n".join(kept[-lines:])
    before = max(0, at - (lines * 2) // 3)
    return "\n".join(
        kept[before : before + lines] if before + lines <= len(kept) else kept[-lines:]
    )


def _readable(log: str) -> list[str]:
    """Control characters escaped, each progress bar only in its last state."""
    shown: list[str] = []
    for raw in redact(strip_ansi(log[-_WINDOW:])).split("\n"):
        parts = [part for part in raw.split("\r") if part.strip()]
        line = escape_controls(parts[-1] if parts else "", keep="\t")[:500]
        if shown and _BAR.search(line) and _BAR.search(shown[-1]):
            shown[-1] = line
        else:
            shown.append(line)
    return shown


def _centre(lines: list[str]) -> int | None:
    """The line that matches best: by the priority of the table, then the last notable one."""
    text = "\n".join(lines)
    for table in (TABLE, GENERIC):
        seen = _find(text, table)
        if seen is not None:
            return text.count("\n", 0, seen[1].start())
    notable = [at for at, line in enumerate(lines) if _NOTABLE.search(line)]
    return notable[-1] if notable else None
