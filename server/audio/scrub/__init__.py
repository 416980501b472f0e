"""What tells who somebody is, found in text and replaced.

Owns the rules by which it is found, the placeholders, and nothing else: it neither keeps nor logs
a word of what it is given. Refuses to guess names: those come from the caller.
"""

from server.audio.scrub.model import KINDS, LANGUAGES, Kind, Language, Private, Scrubbed, Wanted
from server.audio.scrub.replace import scrub

__all__ = ["KINDS", "LANGUAGES", "Kind", "Language", "Private", "Scrubbed", "Wanted", "scrub"]
