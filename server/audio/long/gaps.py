"""What of a recording nobody heard. Pure."""

from collections.abc import Mapping, Sequence
from typing import Literal

from server.audio.long.parts import Failure
from server.audio.long.quiet import Span, loud
from server.audio.model import Gap
from server.audio.sound.model import Piece
from server.audio.transcript import Transcript
from server.base.errors import UpstreamError

Missing = Literal["words", "speakers"]

SHORT_SECONDS = 5.0
"""Sound that a recogniser may leave out at the end of a part."""


def gaps(
    pieces: Sequence[Piece], failures: Mapping[int, Failure], missing: Missing
) -> tuple[Gap, ...]:
    """In order. What a neighbour heard of a part that failed is no gap; parts that failed side by
    side for the same reason are one."""
    found: list[Gap] = []
    reached = 0.0
    for at, piece in enumerate(pieces):
        failure = failures.get(piece.number)
        if failure is None:
            reached = piece.end
            continue
        after = pieces[at + 1] if at + 1 < len(pieces) else None
        heard_on = after is not None and after.number not in failures
        end = min(piece.end, after.start) if after is not None and heard_on else piece.end
        gap = Gap(max(piece.start, reached), end, failure.code, failure.reason, missing)
        reached = gap.end
        if found and (found[-1].end, found[-1][2:]) == (gap.start, gap[2:]):
            gap = gap._replace(start=found.pop().start)
        found.append(gap)
    return tuple(found)


def cut_short(piece: Piece, found: Transcript, quiet: Sequence[Span]) -> Gap | None:
    """The rest of a part of which a recogniser heard the beginning only, and answered as if that
    were all: some take 30 seconds and drop what is beyond.

    What an answer says of its length may be anything, such as how long the work took. So it counts
    only when no word lies behind it, and when something sounds there.
    """
    length = found.duration
    told = [word.end for word in found.words] + [line.end for line in found.segments]
    if length is None or length <= 0 or not told or max(told) > length + 1:
        return None
    rest = (piece.start + length, piece.end)
    sounds = sum(end - start for start, end in loud(quiet, *rest)) if rest[1] > rest[0] else 0.0
    if sounds <= SHORT_SECONDS:
        return None
    reason = f"The service heard only the first {length:.0f} s of a part of {piece.seconds:.0f} s."
    return Gap(*rest, UpstreamError.code, reason)
