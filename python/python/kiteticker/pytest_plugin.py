"""Fixtures for tests of programs that use a KiteTicker; pytest finds them once this package is
installed."""

from collections.abc import Iterator

import pytest

from . import Sim


@pytest.fixture
def kite_sim() -> Iterator[Sim]:
    """A simulated market that sends ticks only when the test says so: `kite_sim.tick([408065])`."""
    with Sim(rate=0) as sim:
        yield sim
