"""Words to phonemes by a dictionary, by its stems with an ending, by its halves, else by letters.

Owns the rules of English endings (voicing of -s and -ed, the American flap) and the few words whose
sound depends on the next one. Pure: the dictionary is an argument. What stands in it is the work of
the misaki project (Apache-2.0); the phonemes are those that Kokoro was trained on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from server.engine.phonemes.letters import guessed

Entry = str | Mapping[str, str | None]
"""One pronunciation, or several by part of speech of which `DEFAULT` is ours."""

VOWELS = frozenset("AIOQWYaiuæɑɐɒɔəɛɜɪʊʌᵻ")
_HISSING = frozenset("szʃʒʧʤ")
_VOICELESS = frozenset("ptkfθ")
_STRESS = "ˈˌ"
_LETTERS = {
    **dict(zip("abcdefghijklm", ("A", "b i", "s i", "d i", "i", "ɛ f", "ʤ i", "A ʧ", "I", "ʤ A",
                                 "k A", "ɛ l", "ɛ m"), strict=True)),
    **dict(zip("nopqrstuvwxyz", ("ɛ n", "O", "p i", "k j u", "ɑ ɹ", "ɛ s", "t i", "j u", "v i",
                                 "d ʌ b ə l j u", "ɛ k s", "w I", "z i"), strict=True)),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Lexicon:
    """`british` changes what -ed, -ing and single letters sound like, as the dictionary does."""

    entries: Mapping[str, Entry]
    british: bool = False

    def word(self, word: str) -> str:
        """The phonemes of one word without spaces; never empty for a word that has a letter."""
        for way in (self._known, self._ended, self._initials, self._halves):
            if found := way(word):
                return found
        return self._fit(guessed(word.lower()))

    def _fit(self, phonemes: str) -> str:
        return phonemes.replace("O", "Q") if self.british else phonemes

    def _known(self, word: str) -> str:
        for form in (word, word.lower(), word.capitalize()):
            entry = self.entries.get(form)
            if isinstance(entry, str):
                return entry
            if entry is not None:
                return entry.get("DEFAULT") or next(filter(None, entry.values()), "")
        return ""

    # ---- endings

    def _ended(self, word: str) -> str:
        low = word.lower()
        for ending, way in (("'s", self._s), ("s'", self._s), ("s", self._s), ("ed", self._ed),
                            ("ing", self._ing), ("ly", self._ly)):  # fmt: skip
            if low.endswith(ending) and len(low) > len(ending) + 1:
                for stem in _stems(low, ending):
                    if said := self._known(stem):
                        return way(said)
        return ""

    def _short(self) -> str:
        return "ɪ" if self.british else "ᵻ"

    def _s(self, stem: str) -> str:
        if stem[-1] in _HISSING:
            return f"{stem}{self._short()}z"
        return stem + ("s" if stem[-1] in _VOICELESS else "z")

    def _ed(self, stem: str) -> str:
        if stem[-1] in "td":
            return f"{self._flapped(stem)}{self._short()}d"
        return stem + ("t" if stem[-1] in _VOICELESS | set("sʃʧ") else "d")

    def _ing(self, stem: str) -> str:
        return f"{self._flapped(stem)}ɪŋ"

    def _ly(self, stem: str) -> str:
        return stem[:-1] + "li" if stem.endswith("l") else stem + "li"

    def _flapped(self, stem: str) -> str:
        """An American t between vowels is a flap."""
        if self.british or stem[-1] != "t" or stem[-2:-1] not in VOWELS | {"ɹ"}:
            return stem
        return stem[:-1] + "ɾ"

    # ---- what no dictionary has

    def _initials(self, word: str) -> str:
        """GPU, NVME, S3: said letter by letter, the last one stressed."""
        bare = word.removesuffix("'s").removesuffix("s") if word[:-1].isupper() else word
        sayable = not bare.isupper() and any(letter in "aeiouy" for letter in bare.lower())
        if sayable or not (bare.isascii() and bare.isalpha() and len(bare) <= 5):
            return ""
        said = [self._letter(letter) for letter in bare.lower()]
        whole = "".join(f"ˌ{part}" for part in said[:-1]) + f"ˈ{said[-1]}"
        return self._s(whole) if bare != word else whole

    def _letter(self, letter: str) -> str:
        if self.british and letter == "z":
            return "zɛd"
        return self._fit(_LETTERS[letter].replace(" ", ""))

    def _halves(self, word: str) -> str:
        """Two words written as one: smartphone, dashboard. Each half has at least three letters."""
        low = word.lower()
        for cut in range(len(low) - 3, 2, -1):
            first, second = self._known(low[:cut]), self._known(low[cut:]) or self._ended(low[cut:])
            if first and second and any(v in VOWELS for v in first + second):
                return first + second.replace("ˈ", "ˌ")
        return ""


def _stems(word: str, ending: str) -> list[str]:
    """What `word` may have been before `ending` was put to it."""
    bare = word[: -len(ending)]
    found = [bare]
    if ending == "s" and bare.endswith("ie"):
        found.append(bare[:-2] + "y")
    if ending == "s" and bare.endswith("e"):
        found.append(bare[:-1])
    if ending in {"ed", "ing"}:
        found.append(bare + "e")
        if len(bare) > 2 and bare[-1] == bare[-2]:
            found.append(bare[:-1])
        if ending == "ed" and bare.endswith("i"):
            found.append(bare[:-1] + "y")
    if ending == "ly":
        found.append(bare + "le")
        if bare.endswith("i"):
            found.append(bare[:-1] + "y")
    return [stem for stem in found if len(stem) > 1]


def starts_with_vowel(phonemes: str) -> bool:
    return phonemes.lstrip(_STRESS)[:1] in VOWELS


def before(word: str, following: str, *, british: bool) -> str:
    """The small words that follow the sound after them; "" for every other word."""
    vowel = starts_with_vowel(following)
    match word.lower():
        case "the":
            return "ði" if vowel else "ðə"
        case "a":
            return "ɐ"
        case "to":
            return "tʊ" if vowel or not following else "tə"
        case "an":
            return "ɐn"
        case _:
            return ""
