"""What tells who somebody is, found in text and replaced.

Owns the rules by which it is found, the placeholders, and how both are put back on the words of a
transcript: it neither keeps nor logs a word of what it is given. Refuses to guess names by rules:
those come from the caller, or from a model that knows names (`people`), where it is installed.
"""

from server.audio.scrub.model import KINDS, LANGUAGES, Kind, Language, Private, Scrubbed, Wanted
from server.audio.scrub.replace import scrub

__all__ = ["KINDS", "LANGUAGES", "Kind", "Language", "Private", "Scrubbed", "Wanted", "scrub"]
