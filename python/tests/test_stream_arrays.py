"""Batches as arrays and tables."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import kiteticker
from kiteticker import Sim, Stream

# Indices, shares and currencies.
WANTED = {
    256265: "full",
    260105: "quote",
    "NSE:INFY": "full",
    738561: "quote",
    341249: "ltp",
    (7 * 256) + 3: "full",
    (8 * 256) + 6: "full",
}
DTYPES = {
    "full": kiteticker.FULL_DTYPE,
    "quote": kiteticker.QUOTE_DTYPE,
    "ltp": kiteticker.LTP_DTYPE,
    "index_full": kiteticker.INDEX_FULL_DTYPE,
    "index_quote": kiteticker.INDEX_QUOTE_DTYPE,
}
DIVISORS = {3: 10_000_000, 6: 10_000}


@pytest.fixture(scope="module")
def batches():
    """Batches with every kind of packet."""
    with Sim(rate=40) as sim:
        with Stream(sim.api_key, sim.access_token, WANTED, root=sim.root, connections=2) as stream:
            found, kinds = [], set()
            for batch in stream:
                found.append(batch)
                kinds |= {kind for kind in DTYPES if batch.runs(kind)}
                if kinds == set(DTYPES) and len(found) > 40:
                    return found


def kind_of(tick):
    return f"index_{tick.mode}" if tick.segment == "INDICES" and tick.mode != "ltp" else tick.mode


@pytest.mark.parametrize("kind", DTYPES)
def test_arrays_have_the_values_of_the_ticks(kind, batches):
    count = 0
    for batch in batches:
        ticks = [tick for tick in batch if kind_of(tick) == kind]
        arrays = [np.frombuffer(run, DTYPES[kind]) for run in batch.runs(kind)]
        rows = [row for array in arrays for row in array]
        assert [int(row["instrument_token"]) for row in rows] == [it.instrument_token for it in ticks]
        for row, tick in zip(rows, ticks, strict=True):
            assert row["length"] == DTYPES[kind].itemsize - 2
            divisor = DIVISORS.get(tick.instrument_token & 0xFF, 100)
            for name in ("last_price", "average_price", "open", "high", "low", "close"):
                if name in row.dtype.names:
                    assert row[name] / divisor == getattr(tick, name), name
            for name in ("last_quantity", "volume", "total_buy_quantity", "total_sell_quantity"):
                if name in row.dtype.names:
                    assert row[name] == getattr(tick, name), name
            if kind == "full":
                for name in ("oi", "oi_day_high", "oi_day_low"):
                    assert row[name] == getattr(tick, name), name
                assert row["exchange_time"] == tick.exchange_time.timestamp()
                for side in ("bids", "asks"):
                    levels = [(it.quantity, it.price, it.orders) for it in getattr(tick.depth, side)]
                    assert [(it["quantity"], it["price"] / divisor, it["orders"]) for it in row[side]] == levels
            if kind == "index_full":
                assert row["change"] / divisor == tick.change
        count += len(rows)
    assert count > 0


def test_arrays_and_frames_share_the_memory_that_was_received(batches):
    batch = next(batch for batch in batches if batch.runs("full"))
    array = np.frombuffer(batch.runs("full")[0], kiteticker.FULL_DTYPE)
    frames = [np.frombuffer(frame, np.uint8) for frame in batch.frames]
    assert any(np.shares_memory(array, frame) for frame in frames)
    assert not array.flags.writeable
    assert len(batch.frames) == len(batch.recv_unix_ns)
    token = int(array["instrument_token"][0])
    assert token in [tick.instrument_token for tick in batch]
    with pytest.raises(ValueError, match="index_full"):
        batch.runs("best")


def test_an_array_keeps_the_memory_that_it_views():
    with Sim(rate=100) as sim, Stream(sim.api_key, sim.access_token, {408065: "full"}, root=sim.root) as stream:
        batch = next(batch for batch in stream if batch.runs("full"))
        expected = batch[-1].last_price
        array = np.frombuffer(batch.runs("full")[-1], kiteticker.FULL_DTYPE)
        del batch
        for _ in range(20):
            next(stream)
    assert array["last_price"][-1] / 100 == expected


def test_tables_have_the_values_of_the_ticks(batches):
    for batch in batches:
        for table in (pl.DataFrame(batch), pl.from_arrow(pa.table(batch)), pl.from_arrow(pa.record_batch(batch))):
            check(table, batch)


def check(table, batch):
    assert table.height == len(batch)
    names = ["instrument_token", "symbol", "segment", "mode", "connection", "volume", "oi"]
    for name in names:
        assert table[name].to_list() == [getattr(tick, name) for tick in batch], name
    for name in ("last_price", "average_price", "open", "close", "change"):
        prices = [None if price is None else float(price) for price in table[name]]
        assert prices == [getattr(tick, name) for tick in batch], name
    times = [int(time) for time in table["recv_time"].to_physical()]
    assert times == [tick.recv_unix_ns for tick in batch]
    assert set(table["symbol"]) <= {"NSE:INFY", "NSE:HDFCBANK", "NSE:RELIANCE", "NSE:NIFTY 50", "NSE:NIFTY BANK", None}
    bids = [tick.depth and tick.depth.bids[0].quantity for tick in batch]
    assert table["bid_quantity_1"].to_list() == bids


def test_columns_and_the_type_of_prices_are_chosen(batches):
    batch = next(batch for batch in batches if len(batch) > 3)
    columns = ["recv_time", "symbol", "last_price", "ask_price_5"]
    table = pl.DataFrame(batch.table(columns, prices="float"))
    assert table.columns == columns
    assert table.schema["last_price"] == pl.Float64
    assert table["last_price"].to_list() == [tick.last_price for tick in batch]
    assert pa.schema(batch.table(columns)).names == columns
    assert pl.DataFrame(batch.table(prices="decimal")).equals(pl.DataFrame(batch))
    for arguments, words in [((["price"],), "price"), ((columns * 2,), "recv_time"), (([],), "column")]:
        with pytest.raises(ValueError, match=words):
            batch.table(*arguments)
    with pytest.raises(ValueError, match="float"):
        batch.table(prices="exact")
    with pytest.raises(TypeError, match="arrow_schema"):
        batch.__arrow_c_stream__(5)


def test_tables_of_the_same_columns_number_their_names_alike(batches):
    columns, known = ["segment", "symbol", "recv_time"], {"segment": [], "symbol": []}
    for batch in batches:
        table = pa.record_batch(batch.table(columns))
        for name, before in known.items():
            names = table[name].dictionary.to_pylist()
            assert names[: len(before)] == before
            known[name] = names
    assert len(known["segment"]) > 2


def test_any_number_of_choices_of_columns_can_be_made(batches):
    batch = next(batch for batch in batches if len(batch) > 3)
    whole = pl.DataFrame(batch)
    first = batch.table(whole.columns[:2])
    pairs = [[one, other] for one in whole.columns[:12] for other in whole.columns[:12] if one != other]
    for columns in pairs * 2:
        assert pl.DataFrame(batch.table(columns)).equals(whole.select(columns))
    assert pl.DataFrame(first).equals(whole.select(whole.columns[:2]))


def test_a_name_added_after_a_table_was_built_is_in_the_next(kite_sim, tmp_path):
    listed = tmp_path / "instruments.csv"
    listed.write_text("instrument_token,tradingsymbol,exchange\n1795,USDINR,CDS\n")
    keys = (kite_sim.api_key, kite_sim.access_token)
    with Stream(*keys, {1795: "full"}, root=kite_sim.root, instruments_file=listed) as stream:
        batch = next(batch for batch in stream if len(batch))
        chosen = batch.table(["symbol", "last_price"])
        tables = [batch, batch.table(["symbol"]), batch.table(prices="float"), chosen]
        assert {symbol for it in tables for symbol in pl.DataFrame(it)["symbol"]} == {None}
        stream.subscribe({"CDS:USDINR": "full"})
        tables.append(batch.table(["symbol"]))
        assert {symbol for it in tables for symbol in pl.DataFrame(it)["symbol"]} == {"CDS:USDINR"}


def test_threads_build_tables_of_one_stream(batches):
    batch = max(batches, key=len)
    expected = pl.DataFrame(batch.table(["recv_time", "symbol", "last_price"]))

    def build(_):
        return pl.DataFrame(batch.table(expected.columns)).equals(expected)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(build, range(200)))


def test_numpy_is_not_needed():
    source = """
import sys
sys.modules["numpy"] = None
from kiteticker import *
import kiteticker
try:
    kiteticker.FULL_DTYPE
except ImportError:
    print(Stream.__name__)
try:
    kiteticker.Nothing
except AttributeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["Stream", "module 'kiteticker' has no attribute 'Nothing'"]
