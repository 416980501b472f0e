"""One simulated cluster per module, and commands run on it over real SSH."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.sim.far import Far
from tests.sim_cluster import Sim, running_sim


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sim]:
    """A cluster of two that loads fast. Tests put back what they change."""
    with running_sim(tmp_path_factory.mktemp("cluster"), load_seconds=0.2) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def _as_it_was(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test that uses the cluster leaves the scenario and the links as they were."""
    if "sim" not in request.fixturenames:
        yield
        return
    sim: Sim = request.getfixturevalue("sim")
    defaults = sim.call("GET", "/hosts/spark-1/scenario")
    yield
    for name in sim.hosts:
        sim.act(name, "up")
        sim.scenario(name, **defaults)


@pytest.fixture
async def far(sim: Sim) -> AsyncIterator[Far]:
    """Commands on the hosts; engine containers are removed at the end."""
    there = Far(sim)
    yield there
    await there.close()
