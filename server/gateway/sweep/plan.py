"""Which levels are measured, and in which order. Pure: chance comes from a seed.

The order is a randomised complete block design (Fisher, "The Design of Experiments", 1935): every
block has each level once, in an order of its own. A machine that grows warm, or a neighbour that
comes and goes, then touches all levels alike instead of looking like the effect of the last one.

Before that comes one short pass upwards, whose figures are thrown away: it warms the service up,
and one that breaks with four at once is never asked for eight.
"""

from collections.abc import Sequence

_STEPS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64)
_MASK = (1 << 64) - 1


def levels(most: int) -> tuple[int, ...]:
    """Every one up to eight, then in growing steps; `most` itself always."""
    if most < 1:
        raise ValueError(f"at least one in flight is measured, not {most}")
    below = tuple(step for step in _STEPS if step < most)
    return (*below, most)


def order(chosen: Sequence[int], repeats: int, seed: int) -> tuple[int, ...]:
    """`repeats` blocks, one after the other."""
    chance = _Chance(seed)
    runs: list[int] = []
    for _ in range(repeats):
        block = list(chosen)
        for last in range(len(block) - 1, 0, -1):  # Fisher and Yates
            other = chance.below(last + 1)
            block[last], block[other] = block[other], block[last]
        runs += block
    return tuple(runs)


class _Chance:
    """SplitMix64 (Steele, Lea, Flood 2014): enough for an order, and the same everywhere."""

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def below(self, bound: int) -> int:
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return ((mixed ^ (mixed >> 31)) * bound) >> 64
