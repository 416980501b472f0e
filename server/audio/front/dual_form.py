"""The form of label-merge with recordings.

Owns the fields that two channels need beside those of a transcription, and which file is which
channel: two files `mic` and `system`, one of them alone, or one `file` with a channel for each.
Everything else is a transcription's (`form`), so that both routes know the same words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import orjson

from server.audio.channels import FAR, NEAR
from server.audio.echo.model import Wanted
from server.audio.front.form import Fields, read
from server.audio.front.options import Options
from server.audio.front.plan import written
from server.audio.sound.spool import FilePart, Form
from server.base.errors import InvalidRequest

Side = Literal["mic", "system"]
SIDES: tuple[Side, ...] = ("mic", "system")
WANTED: tuple[Wanted, ...] = ("auto", "on", "off")
LETTERS, NAMES = 100, 1000
_OURS = frozenset(
    {"channels", "diarize_mic", "diarize_system", "echo", "mic_speaker", "names", "system_speaker"}
)
_YES, _NO = frozenset({"true", "1", "on", "yes"}), frozenset({"false", "0", "off", "no"})


@dataclass(frozen=True, slots=True)
class Dual:
    """What is asked of two channels. `echo` None: as the settings say; `diarize_system` None: where
    there is a service for it. `order` is which channel of one file is which."""

    options: Options
    echo: Wanted | None = None
    mic_speaker: str = NEAR
    system_speaker: str = FAR
    names: Mapping[str, str] = field(default_factory=dict)
    order: tuple[Side, Side] = ("mic", "system")
    diarize_mic: bool = False
    diarize_system: bool | None = None


def read_dual(fields: Fields) -> Dual:
    """Raises `InvalidRequest` with the field's name."""
    ours: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    for name, value in fields:
        if name not in _OURS:
            others.append((name, value))
        elif name in ours:
            raise InvalidRequest(f"The form has the field `{name}` twice.", param=name)
        else:
            ours[name] = value.strip()
    return Dual(
        options=_options(others),
        echo=_echo(ours.get("echo", "")),
        mic_speaker=_name("mic_speaker", ours.get("mic_speaker") or NEAR),
        system_speaker=_name("system_speaker", ours.get("system_speaker") or FAR),
        names=_names(ours.get("names", "")),
        order=_order(ours.get("channels", "")),
        diarize_mic=bool(_truth("diarize_mic", ours.get("diarize_mic", ""))),
        diarize_system=_truth("diarize_system", ours.get("diarize_system", "")),
    )


def _options(fields: Fields) -> Options:
    """`diarized_json` unless another format is asked for; `verbose_json` has words, as it has for
    words that are sent."""
    options = read("transcribe", fields)
    if not options.format_told:
        options = replace(options, format="diarized_json")
    if options.format == "verbose_json" and not options.grains:
        options = replace(options, grains=frozenset({"word", "segment"}))
    written(options)
    return options


def _echo(text: str) -> Wanted | None:
    if not text:
        return None
    found = next((one for one in WANTED if one == text.lower()), None)
    if found is None:
        raise InvalidRequest(f"echo is {', '.join(WANTED)}.", param="echo")
    return found


def _truth(name: str, text: str) -> bool | None:
    lower = text.lower()
    if lower in {"", "auto"}:
        return None
    if lower not in _YES | _NO:
        raise InvalidRequest(f"{name} is true or false.", param=name)
    return lower in _YES


def _name(param: str, text: str) -> str:
    if not 0 < len(text) <= LETTERS or not text.isprintable():
        raise InvalidRequest(f"{param} is a name of up to {LETTERS} letters.", param=param)
    return text


def _names(text: str) -> dict[str, str]:
    """Which name goes in the place of which: a JSON object."""
    if not text:
        return {}
    try:
        told = orjson.loads(text)
    except orjson.JSONDecodeError:
        told = None
    if not isinstance(told, dict) or len(told) > NAMES:
        raise InvalidRequest('names is a JSON object such as {"A": "Ada"}.', param="names")
    return {_name("names", key): _name("names", _text(value)) for key, value in told.items()}


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _order(text: str) -> tuple[Side, Side]:
    if not text:
        return SIDES[0], SIDES[1]
    told = [part.strip().lower() for part in text.split(",")]
    if told == ["mic", "system"]:
        return "mic", "system"
    if told == ["system", "mic"]:
        return "system", "mic"
    raise InvalidRequest("channels is `mic,system` or `system,mic`.", param="channels")


# ---- files


@dataclass(frozen=True, slots=True)
class Files:
    """One `stereo` file, or one for each channel that there is."""

    stereo: FilePart | None = None
    sides: Mapping[Side, FilePart] = field(default_factory=dict)

    @property
    def all(self) -> tuple[FilePart, ...]:
        return tuple(self.sides.values()) if self.stereo is None else (self.stereo,)


def files_of(form: Form) -> Files:
    """Raises `InvalidRequest` for files that are none of these."""
    found: dict[str, FilePart] = {}
    for one in form.files:
        if one.name in found:
            raise InvalidRequest(f"The form has the file `{one.name}` twice.", param=one.name)
        found[one.name] = one
    sides = {side: found[side] for side in SIDES if side in found}
    stereo = found.get("file")
    if len(found) != len(sides) + (stereo is not None) or bool(stereo) == bool(sides):
        raise InvalidRequest(
            "The form needs the recordings of both channels.",
            param="file",
            advice="Send two files `mic` and `system`, or one `file` with both as its channels "
            "(channels=mic,system says which is which).",
        )
    return Files(stereo, sides)
