"""The parser turns lines of the sampler into samples, and nothing a host prints can break it."""

import random
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from server.fleet.model import Sample
from server.fleet.parse import FrameParser
from tests.fleet import captures
from tests.fleet.captures import DF, DOCKER, GPU, HELLO, frame, listing

AT = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
PROCESS = f"4242, VLLM::EngineCore, 106448\t0::/system.slice/docker-{captures.CONTAINER_ID}.scope"


def feed(parser: FrameParser, lines: list[str], now: float = 0.0) -> Sample:
    """All lines at one moment; the last sample they gave."""
    samples = [parser.feed(line, now, AT + timedelta(seconds=now)) for line in lines]
    last = [sample for sample in samples if sample is not None][-1:]
    assert last, "no frame among the lines"
    return last[0]


def everything() -> list[str]:
    return [
        HELLO,
        GPU,
        *listing("P", [PROCESS]),
        *listing("K", [DOCKER]),
        *listing("D", DF.splitlines(), 1),
        frame(),
    ]


def test_a_frame_of_a_gb10_gives_every_figure() -> None:
    """The shapes the tools print on a GB10 are read whole."""
    sample = feed(FrameParser("spark-1"), everything())
    assert sample.boot_id == captures.BOOT
    assert (sample.cores, sample.uptime, sample.load) == (20, 1000.0, (0.52, 0.58, 0.59))
    memory = sample.memory
    assert memory.total == 127535708 * 1024
    assert memory.available == 41880112 * 1024
    assert memory.reclaimable == (32110968 + 812344 + 1204412 - 102400) * 1024
    assert (memory.pressure_some, memory.pressure_full) == (1.25, 0.75)
    (gpu,) = sample.gpus
    assert (gpu.name, gpu.utilization, gpu.temperature) == ("NVIDIA GB10", 87.0, 61.0)
    assert (gpu.power, gpu.clock_sm, gpu.driver) == (42.13, 2411.0, "580.95.05")
    (process,) = gpu.processes
    assert (process.pid, process.used_bytes) == (4242, 106448 * 1024 * 1024)
    assert process.container == captures.CONTAINER_ID
    assert [nic.name for nic in sample.nics] == ["enP7s7", "enp1s0f1np1"]
    assert [disk.mount for disk in sample.disks] == ["/", "/srv/big models"]
    assert sample.containers is not None
    assert sample.containers[0].name == "spark-control-engine"
    assert dict(sample.containers[0].labels)["spark-control.tag"] == "swap-0abc"


def test_not_available_is_none_and_never_zero() -> None:
    """`[N/A]`, `[Not Supported]` and `N/A` are None; what is known beside them stays."""
    line = "@G\t0, NVIDIA GB10, [N/A], 61, N/A, [Not Supported], 580.95.05\t@E"
    (gpu,) = feed(FrameParser("h"), [line, frame()]).gpus
    assert (gpu.utilization, gpu.power, gpu.clock_sm, gpu.temperature) == (None, None, None, 61.0)


def test_a_truncated_frame_is_no_sample() -> None:
    """A frame without its end was cut: half a memory table would be a lie."""
    parser = FrameParser("h")
    whole = frame()
    assert parser.feed(whole[:-3], 0, AT) is None
    assert parser.feed(whole[: len(whole) // 2], 0, AT) is None
    assert parser.ignored == 2
    assert parser.feed(whole, 0, AT) is not None


def test_a_banner_between_the_lines_is_ignored() -> None:
    """Login banners, warnings and stderr in between change nothing."""
    noisy = [x for line in everything() for x in ("*** System restart required ***", line, "")]
    assert feed(FrameParser("h"), noisy) == feed(FrameParser("h"), everything())


def test_rates_come_from_the_hosts_own_clock() -> None:
    """Two frames that arrive together but were 2 s apart on the host give bytes per second."""
    parser = FrameParser("h")
    first = feed(parser, [frame(100.0, rx=1000, tx=5000)], now=10)
    second = feed(parser, [frame(102.0, rx=3000, tx=5000)], now=10)
    assert (first.nics[0].rx_rate, first.nics[0].tx_rate) == (None, None)
    assert (second.nics[0].rx_rate, second.nics[0].tx_rate) == (1000.0, 0.0)


def test_a_counter_that_goes_back_has_no_rate() -> None:
    """An interface that was reset would give a negative rate: it has none for one frame."""
    parser = FrameParser("h")
    feed(parser, [frame(100.0, rx=3000)])
    back = feed(parser, [frame(101.0, rx=10)])
    after = feed(parser, [frame(102.0, rx=20)])
    assert back.nics[0].rx_rate is None
    assert after.nics[0].rx_rate == 10.0


def test_a_delayed_burst_keeps_the_moments_at_which_it_was_true() -> None:
    """A link that stalled for 20 s delivers old frames: their `at` says how old they are."""
    parser = FrameParser("h")
    feed(parser, [frame(100.0)], now=0)
    late = feed(parser, [frame(101.0)], now=21)
    assert late.at == AT + timedelta(seconds=1)


def test_slow_readings_repeat_until_they_are_too_old() -> None:
    """Containers repeat in each frame; after 40 s without a reading they are unknown again."""
    parser = FrameParser("h")
    feed(parser, [*listing("K", [DOCKER]), frame(1)], now=0)
    assert feed(parser, [frame(31)], now=30).containers is not None
    gone = feed(parser, [frame(42)], now=41)
    assert gone.containers is None
    assert "did not answer" in gone.docker_problem


def test_a_silent_nvidia_smi_loses_its_figures() -> None:
    """Old GPU figures are not repeated for ever: after 8 s they are gone, with the reason."""
    parser = FrameParser("h")
    assert feed(parser, [GPU, frame(1)], now=0).gpus
    late = feed(parser, [frame(10)], now=9)
    assert late.gpus == ()
    assert late.gpu_problem == "nvidia-smi went silent"


def test_an_incomplete_listing_leaves_the_one_before() -> None:
    """A line that was lost on the way must not make a container vanish."""
    parser = FrameParser("h")
    before = feed(parser, [*listing("K", [DOCKER]), frame()])
    lost = feed(parser, [f"@K\t{DOCKER}\t@E", "@k\t0\t2\t@E", frame()])
    cut = feed(parser, ["@K\t" + DOCKER[:100], "@k\t0\t1\t@E", frame()])
    odd = feed(parser, [f"@K\t{DOCKER[:100]}\t@E", "@k\t0\t1\t@E", frame()])
    assert before.containers == lost.containers == cut.containers == odd.containers
    assert before.containers


def test_an_empty_listing_is_an_answer() -> None:
    """No containers is known; it is not the same as not knowing."""
    assert feed(FrameParser("h"), [*listing("K", []), frame()]).containers == ()


def test_why_docker_cannot_be_asked_is_told() -> None:
    """Absent, denied and stopped docker differ: each has its sentence, and containers are None."""
    denied = "permission denied while trying to connect to the Docker daemon socket at unix:///x"
    stopped = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock."
    for lines, status, words in (
        ([], 127, "not installed"),
        ([denied], 1, "permission denied"),
        ([stopped], 1, "daemon does not run"),
    ):
        parser = FrameParser("h")
        feed(parser, [*listing("K", [DOCKER]), frame()])
        sample = feed(parser, [*listing("K", lines, status), frame()])
        assert sample.containers is None
        assert words in sample.docker_problem


def test_a_docker_that_times_out_keeps_the_last_reading_for_a_while() -> None:
    """One slow answer under load is not a host without containers."""
    parser = FrameParser("h")
    feed(parser, [*listing("K", [DOCKER]), frame(1)], now=0)
    assert feed(parser, [*listing("K", [], 124), frame(9)], now=8).containers


def test_why_there_is_no_gpu_is_told() -> None:
    """Not installed, and what nvidia-smi itself says."""
    absent = feed(FrameParser("h"), ["@g\t127\t@E", frame()])
    broken = feed(
        FrameParser("h"),
        ["@G\tNVIDIA-SMI has failed because it couldn't communicate.\t@E", "@g\t9\t@E", frame()],
    )
    assert absent.gpu_problem == "nvidia-smi is not installed"
    assert "couldn't communicate" in broken.gpu_problem


def test_a_reboot_forgets_what_was_read_before_it() -> None:
    """Another boot id: containers and rates of the old boot are not carried over."""
    parser = FrameParser("h")
    feed(parser, everything())
    parser.begin()
    sample = feed(parser, ["@H\t1\tother-boot\t20\t@E", frame(3.0)], now=1)
    assert (sample.containers, sample.gpus, sample.disks) == (None, (), ())
    assert all(nic.rx_rate is None for nic in sample.nics)


def test_a_renewed_stream_carries_the_slow_readings_over() -> None:
    """Renewing the stream is not seen: the first new frame has disks, containers and rates."""
    parser = FrameParser("h")
    feed(parser, everything())
    parser.begin()
    sample = feed(parser, [HELLO, frame(1001.0, rx=2000)], now=1)
    assert sample.containers
    assert sample.disks
    assert sample.gpus
    assert sample.nics[0].rx_rate == 1000.0


def test_unchanged_listings_are_the_same_object() -> None:
    """The history shares them, so an hour of samples stays small."""
    parser = FrameParser("h")
    one, two = feed(parser, everything()), feed(parser, everything())
    assert one.containers is two.containers
    assert one.disks is two.disks


def test_a_number_no_machine_has_is_none() -> None:
    """Infinities, NaN and absurd sizes are not figures."""
    parser = FrameParser("h")
    odd = frame().replace("127535708", "9" * 30).replace("avg10=1.25", "avg10=inf")
    sample = feed(parser, ["@G\t0, x, nan, inf, -inf, 1e400, 580.1\t@E", odd])
    assert sample.memory.total is None
    assert sample.memory.pressure_some is None
    assert sample.gpus[0].utilization is None


TAGS = st.sampled_from(["@H", "@F", "@G", "@g", "@P", "@p", "@D", "@d", "@K", "@k", "@X", "@Z"])
FIELD = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["0", "1", "-1", "124", "127", "[N/A]", "{", "[" * 2000, DOCKER, "@E", "9" * 400]
    ),
    st.sampled_from(captures.MEMINFO.splitlines() + captures.NET_DEV.splitlines()),
)
TAGGED = st.builds(
    lambda tag, fields, end: "\t".join([tag, *fields, end]),
    TAGS,
    st.lists(FIELD, max_size=6),
    st.sampled_from(["@E", "@E", "@E", "", "@"]),
)


@given(st.lists(st.one_of(TAGGED, st.text(max_size=80)), max_size=30))
@settings(max_examples=300, deadline=None)
def test_no_line_whatever_breaks_the_parser(lines: list[str]) -> None:
    """Any text in any order: nothing is raised, and a good frame afterwards is still read."""
    parser = FrameParser("h")
    for number, line in enumerate(lines):
        parser.feed(line, float(number), AT)
    sample = parser.feed(frame(), 1000.0, AT)
    assert sample is not None
    assert sample.memory.total == 127535708 * 1024
    sample.to_dict()


@given(st.integers(0, 10_000), st.integers(1, 200))
@settings(max_examples=100, deadline=None)
def test_a_stream_cut_and_mixed_anywhere_never_lies(seed: int, cut: int) -> None:
    """Lines cut and shuffled: each figure that is reported is the true one, or None."""
    rng = random.Random(seed)
    lines = [line[: len(line) - cut] if rng.random() < 0.2 else line for line in everything()]
    rng.shuffle(lines)
    parser, truth = FrameParser("h"), feed(FrameParser("h"), everything())
    for line in [*lines, frame()]:
        sample = parser.feed(line, 0.0, AT)
        if sample is not None:
            assert sample.memory == truth.memory
            assert sample.containers in (None, (), truth.containers)
            assert set(sample.disks) <= set(truth.disks)
