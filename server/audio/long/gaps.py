"""What of a recording nobody heard. Pure."""

from collections.abc import Mapping, Sequence
from typing import Literal

from server.audio.long.parts import Failure
from server.audio.model import Gap
from server.audio.sound.model import Piece

Missing = Literal["words", "speakers"]


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
