"""Names of people, of which a model finds some."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from server.audio.scrub.people import SHA256, digest, likely, people, required, whole_and_parts
from server.base.errors import InvalidValue


class Entity(NamedTuple):
    text: str
    label_: str


class Document(NamedTuple):
    ents: list[Entity]


class Model:
    """Knows the names that it was given, where it is shown them the first time."""

    def __init__(self, *known: Entity) -> None:
        self.known = list(known)
        self.shown: list[str] = []

    def pipe(self, texts: Iterable[str]) -> Iterable[Document]:
        for text in texts:
            self.shown.append(text)
            found = [one for one in self.known if one.text in text]
            self.known = [one for one in self.known if one not in found]
            yield Document(found)


def found_in(text: str, *known: tuple[str, str]) -> list[str]:
    model = Model(*(Entity(*one) for one in known))
    return [text[start:end] for start, end in people(text, lambda: model)]


def test_a_name_that_was_found_once_is_found_everywhere() -> None:
    """Also its parts; not what only looks like them."""
    text = "Ada Lovelace spoke. Thanks, Ada! Adam asked Lovelace's mother. ADA is a language."
    assert found_in(text, ("Ada Lovelace", "PERSON")) == ["Ada Lovelace", "Ada", "Lovelace"]


def test_only_people_are_looked_for() -> None:
    """Not what else a model knows."""
    assert found_in("Ada works at Acme.", ("Ada", "PERSON"), ("Acme", "ORG")) == ["Ada"]


def test_a_word_is_no_name_where_the_text_also_writes_it_small() -> None:
    """Small models take the first word of a sentence for one. In an address it says nothing."""
    text = "Email me. The email is ada@example.com. Ada is well."
    assert found_in(text, ("Email", "PERSON"), ("Ada", "PERSON")) == ["Ada"]
    assert whole_and_parts(["Will Smith"], "Will Smith said: Will we?") == ("Will Smith", "Smith")


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Ada Lovelace's", ["Ada Lovelace"]),
        (" (Jean-Luc\n Picard), ", ["Jean-Luc Picard"]),
        ("Émilie du Châtelet", ["Émilie du Châtelet"]),
        ("Server 10.0.0.12", []),
        ("ada@example.com", []),
        ("A", []),
        ("", []),
        ("x" * 10_000, []),
    ],
)
def test_what_cannot_be_a_name_is_none(said: str, name: list[str]) -> None:
    """Digits, signs, a single letter."""
    assert list(likely(said)) == name


def test_a_long_text_is_shown_in_pieces_between_words() -> None:
    """Nothing is left out, and no name is cut."""
    model = Model()
    text = "Ada Lovelace met Charles Babbage in London. " * 1000
    people(text, lambda: model)
    assert "".join(model.shown) == text
    assert max(map(len, model.shown)) <= 4000
    assert all(piece.endswith((" ", ".", "\n")) for piece in model.shown)


def test_the_model_is_known_by_all_of_its_files(tmp_path: Path) -> None:
    """It comes in a package of strangers: one more file, or another letter, is another model."""
    (tmp_path / "ner").mkdir()
    (tmp_path / "ner" / "model").write_bytes(b"weights")
    first = digest(tmp_path)
    (tmp_path / "ner" / "model").write_bytes(b"weighty")
    second = digest(tmp_path)
    (tmp_path / "more").write_bytes(b"")
    assert len({first, second, digest(tmp_path), SHA256}) == 4


def test_who_asks_for_names_without_the_extra_is_told_how_to_get_it() -> None:
    """By the name of the field that asked."""
    with pytest.raises(InvalidValue, match="optional extra `pii`") as caught:
        required("find_names", there=lambda: False)
    assert caught.value.param == "find_names"
    assert "spark-control[pii]" in (caught.value.advice or "")
    required("find_names", there=lambda: True)
