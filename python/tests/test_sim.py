"""Tests of strategies: the simulated market and replays as context managers, and the fixture."""

import threading

import pytest
from conftest import pack

from kiteticker import KiteTicker, Replay, Sim

INFY = 408065
PATIENCE_S = 60


class Strategy:
    """Notes every callback; `wait_for` waits until a condition holds."""

    def __init__(self, server, **arguments):
        self.events, self.changed = [], threading.Condition()
        self.kws = KiteTicker(server.api_key, server.access_token, root=server.root, **arguments)
        self.kws.set_mode("full", [INFY])
        for name in ("ticks", "open", "close", "noreconnect", "order_update"):
            setattr(self.kws, f"on_{name}", self._noting(name))
        self.kws.connect(threaded=True)

    def _noting(self, name):
        def callback(_ws, *arguments):
            with self.changed:
                self.events.append((name, *arguments))
                self.changed.notify_all()

        return callback

    def wait_for(self, name, times=1):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.of(name)) >= times, PATIENCE_S), self.events
        return self.of(name)[times - 1][1:]

    def of(self, name):
        return [event for event in self.events if event[0] == name]

    def stop(self):
        self.kws.stop()
        self.kws.websocket_thread.join()


@pytest.fixture
def started(stack):
    def start(server, **arguments):
        strategy = Strategy(server, **arguments)
        stack.callback(strategy.stop)
        return strategy

    return start


def test_a_tick_comes_when_the_test_says_so(kite_sim, started):
    strategy = started(kite_sim)
    strategy.wait_for("ticks")
    assert kite_sim.subscriptions == {INFY: "full"}
    before = len(strategy.of("ticks"))
    kite_sim.tick([INFY])
    (ticks,) = strategy.wait_for("ticks", before + 1)
    assert [tick["instrument_token"] for tick in ticks] == [INFY]


def test_an_instrument_that_is_named_several_times_ticks_as_often(kite_sim, started):
    strategy = started(kite_sim)
    strategy.wait_for("ticks")
    before = len(strategy.of("ticks"))
    kite_sim.tick([INFY] * 3)
    strategy.wait_for("ticks", before + 3)
    kite_sim.order({"order_id": "1"})
    strategy.wait_for("order_update")
    assert len(strategy.of("ticks")) == before + 3


def test_faults_strike_when_they_are_injected(kite_sim, started):
    strategy = started(kite_sim)
    strategy.wait_for("open")
    kite_sim.fault("close:1001")
    assert strategy.wait_for("close") == (1001, None)
    strategy.wait_for("open", 2)
    kite_sim.fault("handshake1=refusal:503")
    kite_sim.fault("reset")
    strategy.wait_for("close", 3)
    strategy.wait_for("open", 3)


def test_order_updates_are_sent_as_given(kite_sim, started):
    strategy = started(kite_sim)
    strategy.wait_for("open")
    order = {"order_id": "151220000000000", "status": "COMPLETE", "filled_quantity": 5}
    kite_sim.order(order)
    assert strategy.wait_for("order_update") == (order,)


def test_a_token_expires_at_the_next_handshake(kite_sim, started):
    strategy = started(kite_sim)
    strategy.wait_for("open")
    kite_sim.set_access_token("tomorrow's")
    kite_sim.fault("reset")
    strategy.wait_for("noreconnect")
    strategy.kws.set_access_token(kite_sim.access_token)
    strategy.wait_for("open", 2)


def test_the_same_seed_has_the_same_prices(started):
    def first(seed):
        with Sim(rate=0, seed=seed) as sim:
            strategy = started(sim)
            strategy.wait_for("ticks")
            return strategy.of("ticks")[0][1][0]["last_price"]

    assert first(7) == first(7) != first(8)


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_replay_has_every_tick_of_the_tape(tmp_path, started, is_packed):
    with Sim(rate=50) as sim:
        recorder = started(sim, record_to=tmp_path)
        recorder.wait_for("ticks", 50)
        recorder.stop()
    if is_packed:
        assert pack(tmp_path)["tapes"]
    recorded = sum(len(ticks) for _, ticks in recorder.of("ticks"))
    with Replay(tmp_path, speed=None) as replay:
        strategy = started(replay)
        assert replay.wait(PATIENCE_S)
        assert strategy.wait_for("close") == (1001, "the tape has ended")
    replayed = sum(len(ticks) for _, ticks in strategy.of("ticks"))
    # What arrived between the last callback and the close is on the tape too.
    assert replayed >= recorded
    assert recorder.of("ticks")[10] in strategy.of("ticks")


def test_settings_that_cannot_work_raise(tmp_path):
    with pytest.raises(ValueError, match="fault earthquake=1"):
        Sim(faults=["earthquake=1"])
    with pytest.raises(ValueError, match="rate"):
        Sim(rate=-1)
    with pytest.raises(OSError, match=str(tmp_path)):
        Replay(tmp_path)
    with Sim() as sim:
        with pytest.raises(ValueError, match="earthquake"):
            sim.fault("earthquake")
    with pytest.raises(RuntimeError, match="stopped"):
        sim.fault("reset")
