"""The sounds of the other tests are what they say they are: without a voice, made of noise."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.speech.call import call
from tests.speech.room import RATE, Bleed, Sound, drifted, echo, loudness, pink, response
from tests.speech.scene import pcm, played, trimmed, words
from tests.speech.scripts import FAR, MEETING, Line
from tests.speech.shelf import Shelf


def babble(line: Line) -> Sound:
    """A stand-in for a voice: noise as long as the text, with silence around it."""
    seed = sum(line.text.encode())
    noise = np.random.default_rng(seed).standard_normal(len(line.text) * RATE // 15)
    around = np.zeros(RATE // 4, np.float32)
    return np.concatenate([around, np.asarray(noise * 0.1, np.float32), around])


def test_the_truth_of_a_scene_is_in_its_sound() -> None:
    """A turn is where its line is heard; between turns it is silent; every word is there once."""
    scene = played(MEETING, babble)
    assert [turn.speaker for turn in scene.turns] == [line.voice for line in MEETING]
    assert sorted(scene.text.split()) == sorted(" ".join(one.text for one in MEETING).split())
    loud = np.abs(scene.sound) > 1e-4
    told = np.zeros_like(loud)
    for turn in scene.turns:
        told[round(turn.start * RATE) : round(turn.end * RATE)] = True
    assert not loud[~told].any()
    assert loud[told].mean() > 0.95


def test_lines_overlap_when_that_is_wanted() -> None:
    """Every second one, by as much as was asked; both are heard."""
    scene = played(MEETING[:4], babble, overlap=1.2)
    one, two, three, four = scene.turns
    assert one.end - two.start == pytest.approx(1.2, abs=0.01)
    assert three.end - four.start == pytest.approx(1.2, abs=0.01)
    assert three.start > two.end
    within = scene.sound[round((one.end - 1) * RATE) : round((one.end - 0.2) * RATE)]
    assert loudness(within) > 1.2 * loudness(scene.sound[RATE : 2 * RATE])


def test_words_share_their_line_by_length() -> None:
    """In order, without a gap, from its begin to its end."""
    (turn,) = played(MEETING[:1], babble).turns
    made = words(MEETING[0].text, turn)
    assert made[0].start == turn.start
    assert made[-1].end == pytest.approx(turn.end)
    assert all(one.end == pytest.approx(two.start) for one, two in pairwise(made))


@pytest.mark.parametrize("bleed", [Bleed(), Bleed(0.0), Bleed(-20.0, 200.0, 50.0, 0.5, 0.6)])
def test_an_echo_is_as_loud_and_as_late_as_it_says(bleed: Bleed) -> None:
    """Its level in decibels against the far sound, its delay in milliseconds."""
    far = np.zeros(4 * RATE, np.float32)
    far[RATE : 2 * RATE] = trimmed(babble(FAR))[:RATE]
    heard = echo(far, bleed)
    level = 20 * np.log10(loudness(heard) / loudness(far))
    assert level == pytest.approx(bleed.level_db, abs=0.1)
    first = int(np.flatnonzero(np.abs(heard) > 0.05 * np.abs(heard).max())[0])
    assert (first - RATE) / RATE * 1000 == pytest.approx(bleed.delay_ms, abs=6)


def test_rooms_fade_clocks_drift_and_noise_is_pink() -> None:
    """By sixty decibels in its time; by its millionths; half the power per doubled frequency."""
    tail = response(0.4)
    early, late = tail[: RATE // 20], tail[-RATE // 20 :]
    assert 20 * np.log10(np.abs(early).max() / np.abs(late).max()) > 40
    wave = np.asarray(np.sin(np.arange(20 * RATE) * 0.01), np.float32)
    fast = drifted(wave, 100.0)
    lag = 20 * RATE * 100e-6
    assert fast[-RATE] == pytest.approx(np.sin((19 * RATE + lag * 0.95) * 0.01), abs=0.01)
    power = np.abs(np.fft.rfft(pink(1 << 16, -40.0))) ** 2
    assert power[1000:2000].mean() / power[4000:8000].mean() == pytest.approx(4.0, rel=0.3)
    assert loudness(pink(RATE, -40.0)) == pytest.approx(0.01, rel=0.05)


def test_a_call_has_three_acts() -> None:
    """The far side alone, the near side alone, both; and 114 words to count."""
    made = call(babble)
    assert sum(word.start < made.alone for word, _ in made.far.said) == len(FAR.text.split()) == 114
    first_near = made.near.turns[0].start
    assert first_near >= made.alone
    second_far = made.far.turns[1].start
    assert second_far > made.near.turns[2].end
    assert made.far.turns[-1].end > made.near.turns[3].start
    assert made.far.sound.size == made.near.sound.size == made.microphone(Bleed()).size
    quiet = made.microphone(None)[: RATE // 4]
    assert 0 < loudness(quiet) < 0.002


def test_a_sound_is_made_once_and_kept_whole(tmp_path: Path) -> None:
    """By what it is made of. A maker that fails leaves nothing behind."""
    made: list[int] = []

    def make() -> bytes:
        made.append(1)
        return b"sound"

    shelf = Shelf(tmp_path / "shelf")
    first = shelf.kept(["a", 1], ".raw", make)
    assert (first.read_bytes(), shelf.kept(["a", 1], ".raw", make), len(made)) == (
        b"sound",
        first,
        1,
    )
    assert shelf.kept(["a", 2], ".raw", make) != first

    def fail() -> bytes:
        raise RuntimeError("no voice today")

    with pytest.raises(RuntimeError):
        shelf.kept("b", ".raw", fail)
    assert {path.suffix for path in first.parent.iterdir()} <= {".raw", ".lock"}


def test_sixteen_bits_hold_what_they_can() -> None:
    """Too loud is cut off, not turned over."""
    assert pcm(np.array([0, 2, -2], np.float32)) == b"\x00\x00\xff\x7f\x01\x80"
