"""The package beside the real app and a simulated cluster: health rows and what actions show."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import ONE, House, until
from tests.sim_cluster import running_sim
from tests.startos.box import Box, Refused

pytestmark = pytest.mark.sim


@pytest.fixture
def pair(tmp_path: Path, built: tuple[Path, str]) -> Iterator[tuple[Box, House]]:
    """One data directory, as the app's volume and as StartOS sees it."""
    with running_sim(tmp_path, hosts=2) as sim:
        house = House(sim)
        house.start()
        try:
            with Box(tmp_path / "startos", *built, data=sim.dir) as box:
                box.ask("app", url=house.url)
                box.ask("main")
                yield box, house
        finally:
            house.stop()
            house.http.close()


def test_rows_and_actions_tell_what_the_app_knows(pair: tuple[Box, House]) -> None:
    """Ready, reached, served; a Spark that is lost turns amber and its findings say why."""
    box, house = pair
    assert box.ask("ready", id="primary") == {"result": "success", "message": "Ready"}
    until(lambda: box.ask("ready", id="hosts")["result"] == "success", "both Sparks to be reached")
    assert box.ask("ready", id="engine")["result"] == "disabled"

    tested = box.ask("run", id="test-connection")
    assert [one["name"] for one in tested["result"]["value"]] == ["spark-1", "spark-2"]
    lines = [line["value"] for line in tested["result"]["value"][0]["value"]]
    assert len(lines) > 3
    assert not [line for line in lines if line[0] in "✗?"]

    def saved() -> Any:
        return {host["name"]: host["labels"] for host in house.get("/hosts")["hosts"]}

    form = box.ask("form", id="configure-sparks")["value"]
    form["hosts"][1]["labels"] = ["from-startos"]
    box.ask("run", id="configure-sparks", input=form)
    until(lambda: saved()["spark-2"] == ["from-startos"], "the running app to take the change")

    swap = house.ask(ONE)
    house.reached(swap, "serving")
    until(lambda: box.ask("ready", id="engine")["result"] == "success", "the model to show")
    assert ONE in box.ask("ready", id="engine")["message"]

    house.sim.act("spark-2", "down")
    until(lambda: box.ask("ready", id="hosts")["result"] == "loading", "the lost Spark to show")
    tested = box.ask("run", id="test-connection")
    assert "spark-2" in tested["message"]
    status = {
        one["name"]: one["value"] for one in box.ask("run", id="show-status")["result"]["value"]
    }
    assert status["Spark Control"] == "ready"
    assert [one["name"] for one in status["Sparks"]] == ["spark-1", "spark-2"]
    assert status["Sparks"][0]["value"].startswith("up")
    assert status["Sparks"][1]["value"].startswith("unknown")


def test_without_the_app_an_action_says_so(box: Box) -> None:
    """A sentence, no trace."""
    for action in ("test-connection", "show-status"):
        with pytest.raises(Refused, match="Spark Control does not answer"):
            box.ask("run", id=action)
