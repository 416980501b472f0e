"""Which label of one list is which of the other: the pairing that shares most. Pure.

Speakers have no names of their own: a diarizer's SPEAKER_00 may be anybody. So labels are paired
one to one such that the sum of what the pairs share is largest (the assignment problem; Kuhn 1955,
solved as Jonker and Volgenant 1987 do, by `lapx`).
"""

from collections.abc import Hashable, Mapping
from typing import TypeVar

import lap
import numpy as np

A = TypeVar("A", bound=Hashable)
B = TypeVar("B", bound=Hashable)


def paired(shared: Mapping[tuple[A, B], float]) -> dict[B, A]:
    """For each label on the right its partner on the left. Pairs that share nothing are left out;
    the answer does not depend on the order of `shared` unless two pairings are equally good."""
    lefts = list(dict.fromkeys(left for left, _ in shared))
    rights = list(dict.fromkeys(right for _, right in shared))
    if not lefts or not rights:
        return {}
    cost = np.zeros((len(lefts), len(rights)))
    for (left, right), amount in shared.items():
        cost[lefts.index(left), rights.index(right)] = -amount
    _, column_of, _ = lap.lapjv(cost, extend_cost=True)
    pairs = ((lefts[row], rights[column]) for row, column in enumerate(column_of) if column >= 0)
    return {right: left for left, right in pairs if shared.get((left, right), 0.0) > 0}
