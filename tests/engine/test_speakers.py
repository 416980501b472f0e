"""Voices: weights read without running them, clusters, windows and turns."""

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.engine.speakers import mel
from server.engine.speakers.cluster import clusters
from server.engine.speakers.stored import MAGIC, PROTOCOL, tensors
from server.engine.speakers.turns import BREATH_SECONDS, trimmed, turns, windows, without_scraps


def saved(path: Path, body: bytes, floats: bytes = b"") -> Path:
    """A file as PyTorch saved it, around the pickle `body`."""
    head = b"".join(pickle.dumps(one, 2) for one in (MAGIC, PROTOCOL, {}))
    path.write_bytes(head + body + floats)
    return path


GOOD = (
    b"\x80\x02}X\x05\x00\x00\x00state}X\x01\x00\x00\x00w"
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
    b"X\x01\x00\x00\x007X\x03\x00\x00\x00cpuK\x06NtQK\x00K\x02K\x03\x86K\x03K\x01\x86\x89}tRss."
)


def test_tensors_are_read_without_pytorch(tmp_path: Path) -> None:
    """Two rows of three, from a storage of six."""
    floats = pickle.dumps(["7"], 2) + struct.pack("<q6f", 6, *range(6))
    found = tensors(saved(tmp_path / "a.pt", GOOD, floats), "state")
    assert found["w"].tolist() == [[0, 1, 2], [3, 4, 5]]


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('it ran')",))


def test_a_file_of_weights_runs_nothing(tmp_path: Path) -> None:
    """A pickle may name any function; here only those of a dictionary of floats are known."""
    with pytest.raises(pickle.UnpicklingError, match="has no place"):
        tensors(saved(tmp_path / "a.pt", pickle.dumps(Hostile(), 2)), "state")
    (tmp_path / "b.pt").write_bytes(pickle.dumps("PK"))
    with pytest.raises(pickle.UnpicklingError, match="old way"):
        tensors(tmp_path / "b.pt", "state")


def test_a_tone_is_loudest_in_its_band() -> None:
    """Bands rise with the frequency, and a frame is 10 ms."""
    bands = mel.bands()
    loudest = []
    for hertz in (200, 800, 2000, 6000):
        tone = np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000).astype(np.float32)
        frames = mel.spectrogram(tone, bands)
        assert frames.shape == (101, 40)
        loudest.append(int(frames[50].argmax()))
    assert loudest == sorted(set(loudest))


def plain(rows: np.ndarray, threshold: float) -> list[int]:
    """Average linkage as its definition says, in cubic time."""
    groups = [[at] for at in range(len(rows))]
    apart = 1 - rows @ rows.T
    while len(groups) > 1:
        pairs = [
            (float(apart[np.ix_(a, b)].mean()), i, j)
            for i, a in enumerate(groups)
            for j, b in enumerate(groups)
            if i < j
        ]
        distance, one, other = min(pairs)
        if distance >= threshold:
            break
        groups[one] += groups.pop(other)
    found = [0] * len(rows)
    for number, group in enumerate(sorted(groups, key=min)):
        for at in group:
            found[at] = number
    return found


@given(st.integers(0, 10_000), st.integers(1, 14), st.floats(0.05, 1.2))
@settings(max_examples=60, deadline=None)
def test_clusters_are_those_of_average_linkage(seed: int, count: int, threshold: float) -> None:
    """The quick way and the definition agree, and groups are numbered as they appear."""
    rows = np.random.default_rng(seed).normal(size=(count, 5))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert clusters(rows, threshold).tolist() == plain(rows, threshold)


def test_the_number_of_groups_may_be_told() -> None:
    """Whatever the distances say; nothing at all is no group."""
    rows = np.eye(5, dtype=np.float32)
    assert clusters(rows, 0.1).max() == 4
    assert clusters(rows, 0.1, most=2).max() == 1
    assert clusters(np.ones((4, 1), np.float32), 0.5, least=3).max() == 2
    assert clusters(np.zeros((0, 3), np.float32)).tolist() == []


@given(st.lists(st.tuples(st.floats(0.2, 9), st.floats(0.05, 3)), min_size=1, max_size=6))
@settings(max_examples=80)
def test_windows_cover_what_is_spoken_and_nothing_else(parts: list[tuple[float, float]]) -> None:
    """To the end of each region; no window leaves its region."""
    regions, at = [], 0.0
    for length, pause in parts:
        regions.append((at, at + length))
        at += length + pause
    spans = windows(regions)
    for start, end in regions:
        inside = [span for span in spans if span[0] >= start - 1e-6 and span[1] <= end + 1e-6]
        assert inside[0][0] == pytest.approx(start)
        assert max(span[1] for span in inside) == pytest.approx(end)
    assert all(any(s - 1e-6 <= a and b <= e + 1e-6 for s, e in regions) for a, b in spans)
    found = turns(regions, spans, np.zeros(len(spans), int))
    spoken = sum(end - start for start, end in regions)
    held = sum(turn.end - turn.start for turn in found)
    assert spoken - 1e-6 <= held <= spoken + len(parts) * BREATH_SECONDS


def test_a_change_of_speaker_is_found_within_a_region() -> None:
    """Where the votes change; a single stray window in between changes nothing."""
    regions = [(0.0, 10.0)]
    spans = windows(regions)
    group = np.array([0 if start < 5 else 1 for start, _ in spans])
    found = turns(regions, spans, group)
    assert [turn.speaker for turn in found] == [0, 1]
    assert found[0].end == found[1].start == pytest.approx(5.5, abs=0.5)
    assert (found[0].start, found[1].end) == (0.0, 10.0)


def test_a_scrap_belongs_to_the_nearest_speaker() -> None:
    """Half a second is nobody new."""
    rows = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0.2, 0.98]], np.float32)
    spans = [(0, 1.5), (0.5, 2), (3, 4.5), (3.5, 5), (6, 6.4)]
    assert without_scraps(rows, np.array([0, 0, 1, 1, 2]), spans).tolist() == [0, 0, 1, 1, 1]


def test_regions_end_where_the_sound_does() -> None:
    """35 dB under their loudest moment."""
    levels = np.full(100, -80.0, np.float32)
    levels[30:60] = -20
    assert trimmed([(0.1, 0.9)], levels, 0.01) == [pytest.approx((0.3, 0.6))]
