"""Which of many embeddings are one voice: average-link agglomerative clustering on cosines. Pure.

Every window begins alone; the two nearest groups are joined while the mean distance between their
members is under the threshold. Distances of joined groups by the formula of Lance and Williams,
each group's nearest neighbour kept, so that a step costs one row and not the whole matrix: O(n^2)
for an hour of windows, all in numpy.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from server.engine.sound import Samples

THRESHOLD = 0.30
"""Cosine distance between groups. One voice is near 0.1 from itself, others 0.3 to 0.5 away."""


def clusters(
    rows: "Samples", threshold: float = THRESHOLD, *, least: int = 1, most: int | None = None
) -> "NDArray[np.int64]":
    """The number of its group for each row of length one; groups are numbered as they appear.

    `least` and `most` groups are made whatever the distances say.
    """
    left = len(rows)
    group = np.arange(left)
    apart = (1.0 - rows @ rows.T).astype(np.float32)
    np.fill_diagonal(apart, np.inf)
    weight = np.ones(left, np.float32)
    nearest = apart.argmin(axis=1) if left else group
    closest = apart[group, nearest]
    while left > max(1, least):
        one = int(closest.argmin())
        if closest[one] >= threshold and (most is None or left <= most):
            break
        other = int(nearest[one])
        group[group == group[other]] = group[one]
        _join(apart, weight, one, other)
        _renew(apart, nearest, closest, one, other)
        left -= 1
    return _numbered(group)


def _join(apart: "Samples", weight: "Samples", one: int, other: int) -> None:
    both = weight[one] + weight[other]
    row = (weight[one] * apart[one] + weight[other] * apart[other]) / both
    row[[one, other]] = np.inf
    apart[one, :] = apart[:, one] = row
    apart[other, :] = apart[:, other] = np.inf
    weight[one] = both


def _renew(
    apart: "Samples", nearest: "NDArray[np.int64]", closest: "Samples", one: int, other: int
) -> None:
    """The nearest neighbour of every group that had one of the two for it, or may have one now."""
    stale = np.flatnonzero((nearest == one) | (nearest == other))
    for row in {one, *stale.tolist()}:
        nearest[row] = apart[row].argmin()
        closest[row] = apart[row, nearest[row]]
    closest[other] = np.inf
    nearer = apart[one] < closest
    nearest[nearer] = one
    closest[nearer] = apart[one][nearer]


def _numbered(group: "NDArray[np.int64]") -> "NDArray[np.int64]":
    seen: dict[int, int] = {}
    return np.array([seen.setdefault(int(one), len(seen)) for one in group])
