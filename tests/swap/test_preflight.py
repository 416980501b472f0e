"""Preflight: what was seen becomes findings; only an error refuses; unknown is never a pass."""

from dataclasses import replace

import pytest

from server.base.finding import Finding, Severity
from server.base.units import GIB
from server.catalog.fit import Fit
from server.catalog.model import ModelFiles
from server.launch.model import LaunchSpec
from server.swap.preflight import HostFacts, Standing, findings
from tests.swap.made import engine, spec

GOOD_FILES = ModelFiles("spark-1", True, True, "/x", 40 * GIB, {"model_type": "qwen3"})
GOOD = HostFacts("spark-1", True, files=GOOD_FILES, disk_free=500 * GIB, driver="580.95")
FITS = Fit("fits", 1, 1, 1, 1, 1, ("weights 40 GiB",))


def codes(
    *facts: HostFacts,
    fit: Fit | None = FITS,
    made: LaunchSpec | None = None,
    launch: tuple[Finding, ...] = (),
    standing: Standing | None = None,
) -> dict[str, Severity]:
    target = made or spec()
    standing = standing or Standing(goes=frozenset({"swap-0"}))
    return {f.code: f.severity for f in findings(target, facts, launch, fit, standing)}


def test_a_good_host_has_only_good_findings() -> None:
    assert set(codes(GOOD).values()) == {Severity.OK}


def test_an_unreachable_host_refuses() -> None:
    seen = codes(HostFacts("spark-1", False, "timed out"))
    assert seen["host_unreachable"] is Severity.ERROR


def test_every_finding_of_an_error_says_what_to_do() -> None:
    bad = HostFacts("spark-1", False, "timed out")
    taken = replace(GOOD, port_owner="nginx (pid 7)")
    lost = replace(GOOD, files=ModelFiles("spark-1", False, None, reason="no such folder"))
    local = replace(spec(), local_path=True)
    for facts in (bad, taken, lost):
        for one in findings(local, [facts], (), None, Standing()):
            if one.severity is Severity.ERROR:
                assert one.advice


def test_a_local_path_that_is_missing_refuses_and_a_repository_is_downloaded() -> None:
    absent = replace(GOOD, files=ModelFiles("spark-1", False, None))
    assert codes(absent)["download"] is Severity.INFO
    local = replace(spec(), local_path=True)
    assert codes(absent, made=local)["files_missing"] is Severity.ERROR


def test_missing_shards_refuse_a_local_path_and_warn_of_a_cache() -> None:
    files = ModelFiles("spark-1", True, False, missing=("model-00002.safetensors",))
    broken = replace(GOOD, files=files)
    assert codes(broken)["files_incomplete"] is Severity.WARNING
    local = replace(spec(), local_path=True)
    assert codes(broken, made=local)["files_incomplete"] is Severity.ERROR


def test_a_local_path_that_leads_out_of_the_roots_is_an_error_of_its_own() -> None:
    files = ModelFiles("spark-1", True, False, outside=("/etc",), reason="it really lies in /etc")
    local = replace(spec(), local_path=True)
    assert codes(replace(GOOD, files=files), made=local)["files_outside"] is Severity.ERROR


def test_a_download_onto_a_full_disk_is_warned_about() -> None:
    full = replace(GOOD, files=ModelFiles("spark-1", False, None), disk_free=2 * GIB)
    assert codes(full)["disk_low"] is Severity.WARNING


@pytest.mark.parametrize(
    ("verdict", "severity"),
    [
        ("fits", Severity.OK),
        ("tight", Severity.WARNING),
        ("cannot", Severity.ERROR),
        ("unknown", Severity.UNKNOWN),
    ],
)
def test_the_fit_decides_by_its_verdict(verdict: str, severity: Severity) -> None:
    made = replace(FITS, verdict=verdict)  # type: ignore[arg-type]
    assert severity in codes(GOOD, fit=made).values()


def test_what_cannot_be_told_is_said_to_be_unknown() -> None:
    assert codes(GOOD, fit=None)["fit_unknown"] is Severity.UNKNOWN
    assert codes(replace(GOOD, files=None))["files_unknown"] is Severity.UNKNOWN


def test_a_foreign_program_on_the_port_refuses_and_our_own_engine_does_not() -> None:
    taken = replace(GOOD, port_owner="python (pid 7)")
    assert codes(taken)["port_taken"] is Severity.ERROR
    ours = replace(taken, engines=(engine("swap-0", "old"),))
    assert "port_taken" not in codes(ours)


def test_a_host_that_cannot_tell_its_engines_is_not_called_unreachable() -> None:
    """And whoever holds the port may well be our own engine: nothing is said of it."""
    silent = replace(GOOD, trouble="docker did not say what runs there", port_owner="vllm (pid 7)")
    found = codes(silent)
    assert found["engines_unknown"] is Severity.ERROR
    assert found["host"] is Severity.OK
    assert "port_taken" not in found


def test_another_engine_of_ours_is_named_before_it_is_stopped() -> None:
    other = replace(GOOD, engines=(engine("swap-9", "stray"),))
    assert codes(other)["other_engine"] is Severity.WARNING


def test_nodes_with_different_drivers_are_warned_about() -> None:
    second = replace(GOOD, host="spark-2", driver="590.1")
    two = spec(hosts=("spark-1", "spark-2"))
    assert codes(GOOD, second, made=two)["driver_mismatch"] is Severity.WARNING
    same = replace(second, driver=GOOD.driver)
    assert codes(GOOD, same, made=two)["driver_parity"] is Severity.OK


def test_findings_of_the_launcher_are_kept() -> None:
    missing = Finding("image_missing", Severity.ERROR, "no image", "pull it", "spark-1")
    assert codes(GOOD, launch=(missing,))["image_missing"] is Severity.ERROR


def test_a_place_beside_others_has_its_own_port() -> None:
    """What stays does not give its port away, and is nothing to warn of; a left-over is."""
    stays = Standing(frozenset({"swap-0"}), sweep=False)
    neighbour = replace(GOOD, engines=(engine("swap-0", "old"), engine("swap-9", "stray")))
    assert codes(neighbour, standing=stays)["other_engine"] is Severity.WARNING
    taken = replace(neighbour, port_owner="vllm (pid 7)")
    assert codes(taken, standing=stays)["port_taken"] is Severity.ERROR
    alone = replace(GOOD, engines=(engine("swap-0", "old"),))
    assert "other_engine" not in codes(alone, standing=stays)
