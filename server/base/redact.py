"""Secrets and control characters taken out of text before a person, a log or a caller sees it.

Owns the one list of what looks like a secret. Pure. Refuses to be clever about short words: a known
secret under four characters is not searched for, since that would destroy the text around it.
"""

import re
from collections.abc import Callable, Collection, Sequence

REDACTED = "[redacted]"

_WORD = (
    r"(?:api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key|auth[_-]?key|ngc[_-]?key"
    r"|token|secret|passwd|password|passphrase|credentials?)"
)
_NAME = rf"[A-Za-z0-9_.-]{{0,64}}{_WORD}"
_FLAG = rf"--?{_NAME}|--[a-z-]{{0,32}}key"

_SECRET_NAME = re.compile(rf"(?i)(?:{_NAME}|authorization|cookie|set-cookie)")
_SECRET_FLAG = re.compile(rf"(?i)(?:{_FLAG})")

_Replacement = str | Callable[[re.Match[str]], str]

_RULES: tuple[tuple[re.Pattern[str], _Replacement], ...] = (
    (
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?"
            r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\Z)",
            re.DOTALL,
        ),
        REDACTED,
    ),
    # scheme://user:password@ (the last @ of the authority ends the password), https://token@
    (
        re.compile(
            r"(?i)(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{0,30}://)[^\s/:@]{0,256}:[^\s/]{1,1024}@"
        ),
        rf"\1{REDACTED}@",
    ),
    (re.compile(r"(?i)\b(https?://)[^\s/:@]{1,1024}@"), rf"\1{REDACTED}@"),
    (
        re.compile(
            r"(?i)\b((?:proxy-)?authorization|x-api-key|api-key|(?:set-)?cookie)(['\"]?\s{0,4}[:=]\s{0,4})"
            r"(['\"]?)[^\r\n'\"]{1,4096}"
        ),
        rf"\1\2\3{REDACTED}",
    ),
    (re.compile(r"(?i)\b(bearer\s{1,4})[A-Za-z0-9._~+/=-]{8,4096}"), rf"\1{REDACTED}"),
    (re.compile(r"\bhf_(?=[A-Za-z0-9]{0,64}[0-9A-Z])[A-Za-z0-9]{8,256}"), REDACTED),
    (re.compile(r"\bhf_[a-z]{30,256}"), REDACTED),
    (re.compile(r"\bnvapi-[A-Za-z0-9_-]{8,512}"), REDACTED),
    (re.compile(r"(?<![A-Za-z0-9-])sk-[A-Za-z0-9_-]{8,512}"), REDACTED),
    (re.compile(r"\b(?:gh[opsu]_|github_pat_)[A-Za-z0-9_]{16,512}"), REDACTED),
    # 'api_key': 'x'   "token": "x"
    (
        re.compile(
            rf"(?i)((['\"]){_NAME}\2\s{{0,4}}:\s{{0,4}}(['\"]))(?:(?!\3)[^\\\r\n]|\\.){{1,4096}}"
        ),
        rf"\1{REDACTED}",
    ),
    # NAME_KEY=value  token=value  password: value
    (
        re.compile(
            rf"((?:(?i:(?<![A-Za-z0-9_.-]){_NAME})|(?<![A-Za-z0-9_])[A-Z0-9_]{{0,64}}KEY)=)"
            r"(\"[^\"\r\n]{1,4096}\"|'[^'\r\n]{1,4096}'|(?!\[redacted\])[^\s&'\"]{1,4096})"
        ),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"(?i)\b(passw(?:or)?d\s{0,4}:\s{0,4})[^\s,;'\"]{1,1024}"), rf"\1{REDACTED}"),
    # --api-key value   --token=value
    (
        re.compile(rf"(?i)(?<![A-Za-z0-9-])((?:{_FLAG})[= ]\s{{0,4}})(?!-)[^\s'\"]{{1,4096}}"),
        rf"\1{REDACTED}",
    ),
)

# No rule can match a text that has none of these in it, in lower case. Kept to a plain look: nearly
# every text that is logged has no secret, and the rules cost forty times as much as this does.
_SIGNS = (
    *("key", "token", "secret", "pass", "credential", "authorization", "cookie", "bearer", "://"),
    *("hf_", "nvapi-", "sk-", "gho_", "ghp_", "ghs_", "ghu_", "github_pat_"),
)

ANSI = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI
    r"|\x1b[\]PX^_][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?"  # OSC, DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]?"
    r"|\x9b[0-?]*[ -/]*[@-~]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_JOINER = "\u200d"  # holds emoji together


def redact(text: str, secrets: Collection[str] = ()) -> str:
    """`text` with everything that looks like a secret, and every known one, replaced."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 4:
            text = text.replace(secret, REDACTED)
    return by_rules(text) if _suspicious(text) else text


def by_rules(text: str) -> str:
    """`text` through every rule, without the quick look that `redact` takes first."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def _suspicious(text: str) -> bool:
    """False only when no rule can match. Outside ASCII letters fold in ways that only the patterns
    know (a long s is an s to them), so such a text always goes through the rules."""
    if not text.isascii():
        return True
    lowered = text.lower()
    for sign in _SIGNS:  # noqa: SIM110 - `any` with a generator takes twice as long
        if sign in lowered:
            return True
    return False


def redact_argv(argv: Sequence[str]) -> list[str]:
    """The command for the screen: also the word after `--api-key` and its like is replaced."""
    shown: list[str] = []
    hide = False
    for word in argv:
        if hide and not word.startswith("--"):
            shown.append(REDACTED)
            hide = False
            continue
        hide = _SECRET_FLAG.fullmatch(word) is not None
        shown.append(redact(word))
    return shown


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret, whatever its value looks like."""
    return _SECRET_NAME.fullmatch(name) is not None


def strip_ansi(text: str) -> str:
    """Without terminal control sequences (colours, cursor, titles)."""
    return ANSI.sub("", text) if "\x1b" in text or "\x9b" in text else text


def escape_controls(text: str, keep: str = "") -> str:
    """What is not printable (controls, direction marks, odd spaces) as visible escapes."""
    if text.isascii() and text.isprintable():
        return text
    keep += _JOINER
    return "".join(
        letter if letter.isprintable() or letter in keep else _escaped(letter) for letter in text
    )


def one_line(text: str, limit: int = 500) -> str:
    """`text` on one inert line of at most `limit` characters: no ANSI, no control characters."""
    line = escape_controls(strip_ansi(text[: limit * 4 + 64]))
    if len(line) <= limit and len(text) <= limit * 4 + 64:
        return line
    return line[: limit - 1] + "…"


def _escaped(letter: str) -> str:
    code = ord(letter)
    if letter in _SHORT:
        return _SHORT[letter]
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )
