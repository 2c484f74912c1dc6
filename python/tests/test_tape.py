"""Recorded ticks: tables are equal to what `kite export` writes, and nothing is lost unreported."""

import datetime as dt
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time
import warnings
from decimal import Decimal

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import KITE, PATIENCE_S, pack

import kiteticker
from kiteticker import Instruments, Tape, TapeWarning

INFY, NIFTY = 408065, 256265


@pytest.fixture(scope="session")
def tapes(tmp_path_factory):
    """A recording of the simulated market with resets, and so with gaps."""
    to = tmp_path_factory.mktemp("recording") / "tapes"
    source = ["--sim", "--count", "60", "--rate", "50", "--for", "4s", "--chaos", "1s"]
    line = [KITE, "record", *source, "--to", to, "NSE:INFY", "NSE:NIFTY 50", "--json"]
    subprocess.run(line, check=True, capture_output=True, timeout=PATIENCE_S)
    return to


@pytest.fixture
def session(tmp_path):
    """A tape of a few ticks within the session of two days."""
    to = tmp_path / "session.ktape"
    make = pathlib.Path(KITE).parent / "examples" / "recipe_tape"
    subprocess.run([make, to], check=True, timeout=PATIENCE_S)
    return to


def exported(tapes, tmp_path, *options):
    to = tmp_path / "day.parquet"
    line = [KITE, "export", tapes, "--to", to, "--overwrite", *options]
    done = subprocess.run(line, capture_output=True, timeout=PATIENCE_S)
    assert done.returncode in (0, 1), done.stderr
    return to


@pytest.mark.parametrize(
    ("ticks", "options"),
    [
        ({}, []),
        ({"prices": "float", "time_zone": "ist"}, ["--prices", "float", "--time-zone", "ist"]),
        ({"times": "us"}, ["--times", "us"]),
        ({"instruments": ["NSE:INFY", NIFTY]}, ["--instruments", f"NSE:INFY,{NIFTY}"]),
        ({"instruments": "infy"}, ["--instruments", "infy"]),
    ],
)
def test_a_table_is_equal_to_the_file_of_an_export(tapes, tmp_path, ticks, options):
    file = exported(tapes, tmp_path, *options)
    table = Tape(tapes).ticks(**ticks)
    frame, expected = pl.DataFrame(table), pl.read_parquet(file)
    assert len(expected) > 100 and frame.schema == expected.schema
    assert frame.equals(expected)
    read = pa.table(table)
    # The file also has metadata of its own, and no field differs.
    assert read.schema.equals(pq.read_schema(file).remove_metadata())
    for field, in_file in zip(read.schema, pq.read_schema(file), strict=True):
        assert field.metadata[b"description"] == in_file.metadata[b"description"]
    assert table.summary["rows"] == len(expected)


def test_events_are_equal_to_the_file_of_an_export(tapes, tmp_path):
    events = tmp_path / "events.parquet"
    exported(tapes, tmp_path, "--events", events)
    frame = pl.DataFrame(Tape(tapes).events())
    assert len(frame) > 0 and frame.equals(pl.read_parquet(events))


def test_a_packed_tape_has_the_same_tables_and_frames(tapes, tmp_path):
    assert pack(tapes, "--to", tmp_path / "packed")["tapes"]
    packed, original = Tape(tmp_path / "packed"), Tape(tapes)
    assert (packed.start, packed.end) == (original.start, original.end)
    ticks = pl.DataFrame(packed.ticks())
    assert len(ticks) > 100 and ticks.equals(pl.DataFrame(original.ticks()))
    assert pl.DataFrame(packed.events()).equals(pl.DataFrame(original.events()))
    half = packed.start + (packed.end - packed.start) / 2
    sought = pl.DataFrame(packed.ticks(start=half))
    assert sought.equals(pl.DataFrame(original.ticks(start=half)))
    frames = [(it.recv_unix_ns, it.connection, bytes(it.data)) for it in packed.frames()]
    assert frames == [(it.recv_unix_ns, it.connection, bytes(it.data)) for it in original.frames()]


def test_every_library_reads_the_same_table_and_as_often_as_it_likes(tapes):
    table = ticks = Tape(tapes).ticks(columns=["symbol", "last_price", "volume"])
    rows = len(pl.DataFrame(table))
    assert table.columns == ["symbol", "last_price", "volume"]
    summed = duckdb.sql("SELECT count(*), sum(volume) FROM ticks").fetchall()
    assert summed == [(rows, pl.DataFrame(table)["volume"].sum())]
    assert len(pd.DataFrame.from_arrow(table)) == rows
    assert pl.from_arrow(pa.table(table)).equals(pl.DataFrame(table))
    price = pa.table(table)["last_price"][0].as_py()
    assert isinstance(price, Decimal)
    assert pa.schema(table).names == table.columns


def test_times_are_indias_unless_they_have_a_zone(tapes):
    tape = Tape(tapes)
    half = tape.start + (tape.end - tape.start) / 2
    assert half.utcoffset() == dt.timedelta(hours=5, minutes=30)
    naive, utc = half.replace(tzinfo=None), half.astimezone(dt.timezone.utc)

    def rows(start=None, end=None):
        return len(pl.DataFrame(tape.ticks(start=start, end=end, columns=["mode"])))

    until, after = rows(end=half), rows(start=half)
    assert until > 0 and after > 0 and until + after == rows()
    for same in [naive, utc, naive.isoformat(), utc.isoformat(), naive.isoformat(" "), half.isoformat()]:
        assert rows(end=same) == until, same
    # The day may have changed in India while it was recorded.
    if tape.start.date() == tape.end.date():
        assert rows(start=naive.time()) == after
        assert rows(start=naive.time().isoformat()) == after
    assert rows(tape.start.date(), tape.end.date() + dt.timedelta(days=1)) == rows()
    assert rows(start=tape.start.date().isoformat()) == rows()
    nanoseconds = pl.DataFrame(tape.ticks(columns=["recv_time"]))["recv_time"].to_physical()
    at = dt.datetime.fromtimestamp(nanoseconds[0] // 10**9, dt.timezone.utc)
    exact = f"{at:%Y-%m-%dT%H:%M:%S}.{nanoseconds[0] % 10**9:09}Z"
    assert rows(start=exact) == rows() and rows(end=exact) == 0


def test_wrong_arguments_raise_what_they_are(tapes, tmp_path):
    tape = Tape(tapes)
    for error, text, call in [
        (KeyError, "no instrument is named NSE:INFX; did you mean NSE:INFY", lambda: tape.ticks("NSE:INFX")),
        (ValueError, "there is no column \"price\"", lambda: tape.ticks(columns=["price"])),
        (ValueError, "the column \"mode\" is chosen twice", lambda: tape.ticks(columns=["mode", "mode"])),
        (ValueError, "no column is chosen", lambda: tape.ticks(columns=[])),
        (ValueError, "prices is \"exact\"", lambda: tape.ticks(prices="exact")),
        (ValueError, "start is '9:15'; it must be such as 09:15", lambda: tape.ticks(start="9:15")),
        (ValueError, "start 15:30 is not before end 09:15", lambda: tape.ticks(start="15:30", end="09:15")),
        (ValueError, "nothing is left between .*; the tapes hold 20", lambda: tape.ticks(end="2020-01-01")),
        (TypeError, "start is 5; it must be a str", lambda: tape.gaps(start=5)),
        (ValueError, "token -1 is not from 0", lambda: tape.ticks([-1])),
        (OSError, "No such file", lambda: Tape(tmp_path / "none")),
        (OSError, "no tape", lambda: Tape(tmp_path)),
    ]:
        with pytest.raises(error, match=text):
            call()


def test_an_instrument_without_a_tick_is_reported(tapes):
    table = Tape(tapes).ticks([INFY, 5633], columns=["instrument_token"])
    assert table.summary is None
    with pytest.warns(TapeWarning, match="the tapes have no tick of 5633"):
        assert pl.DataFrame(table)["instrument_token"].unique().to_list() == [INFY]
    assert table.summary["unseen"] == [5633]


@pytest.fixture
def damaged(tapes, tmp_path):
    """A copy of the recording with a byte changed in the middle."""
    to = tmp_path / "damaged"
    shutil.copytree(tapes, to)
    (file,) = to.glob("*.ktape")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)
    return to


def test_damage_is_reported_by_an_attribute_and_a_warning(tapes, damaged):
    whole = len(pl.DataFrame(Tape(tapes).ticks()))
    tape = Tape(damaged)
    table = tape.ticks()
    with pytest.warns(TapeWarning, match="parts of the tapes cannot be read: .*damaged"):
        rows = len(pl.DataFrame(table))
    assert 0 < rows < whole and not table.summary["complete"]
    assert table.summary["damages"] == len(table.damage) == 1
    frames = tape.frames()
    with pytest.warns(TapeWarning):
        assert sum(1 for _ in frames) > 0
    assert frames.damage == table.damage
    with pytest.warns(TapeWarning):
        tape.gaps()
    with pytest.warns(TapeWarning):
        assert "damage" in pl.DataFrame(tape.events())["kind"].to_list()
    # A program that wants an exception asks for it as of any warning.
    with warnings.catch_warnings():
        warnings.simplefilter("error", TapeWarning)
        with pytest.raises(Exception, match="parts of the tapes cannot be read"):
            pa.table(tape.ticks())


def test_gaps_are_those_of_the_events(tapes):
    tape = Tape(tapes)
    events = pl.DataFrame(tape.events(times="us")).filter(pl.col("kind") == "gap")
    gaps = tape.gaps()
    assert len(gaps) > 0
    found = [(gap.recv_time, gap.reason, gap.since, gap.until, gap.frames) for gap in gaps]
    names = ["recv_time", "reason", "from_time", "to_time", "frames"]
    assert found == events.select(names).rows()
    assert tape.gaps(start=gaps[-1].recv_time)[-1] == gaps[-1]


def test_frames_are_the_bytes_that_were_received(tapes):
    tape = Tape(tapes)
    ticks = pl.DataFrame(tape.ticks(columns=["recv_time", "connection", "instrument_token"]))
    found = []
    for frame in tape.frames():
        assert frame.data.readonly and frame.account == 0
        for tick in kiteticker.parse(bytes(frame.data)):
            found.append((frame.recv_unix_ns, frame.connection, tick["instrument_token"]))
    assert found == list(
        zip(ticks["recv_time"].to_physical(), ticks["connection"], ticks["instrument_token"], strict=True)
    )
    # A buffer outlives the tapes that it is of.
    kept = [frame.data for frame in tape.frames()][0]
    del tape, frame
    assert len(kept) > 2 and bytes(kept[:2]) == int.to_bytes(len(found and kiteticker.parse(bytes(kept))), 2)


def threads():
    return len(os.listdir("/proc/self/task"))


def test_a_table_that_is_not_read_to_its_end_leaves_no_thread(tapes):
    table = Tape([tapes] * 2).ticks()
    pa.table(table)
    before = threads()
    for _ in range(1_000):
        table.__arrow_c_stream__()
        table.__arrow_c_schema__()
    for _ in range(50):
        # The consumer moves the stream out of its capsule.
        pa.RecordBatchReader.from_stream(table)
    for _ in range(50):
        assert pa.RecordBatchReader.from_stream(table).read_next_batch().num_rows > 0
    deadline = time.monotonic() + PATIENCE_S
    while threads() > before and time.monotonic() < deadline:
        time.sleep(0.001)
    assert threads() <= before


def test_a_table_that_is_being_read_raises_after_a_fork_and_can_be_dropped_there(tapes):
    table = Tape(tapes).ticks()
    reader = pa.RecordBatchReader.from_stream(table)
    reader.read_next_batch()
    child = os.fork()
    if child == 0:
        try:
            reader.read_next_batch()
        except Exception as error:
            found = "before a fork" in str(error)
        del reader
        os._exit(0 if found and pa.table(table).num_rows > 0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert reader.read_all() is not None


def test_a_requested_schema_is_answered_with_the_tables_own(tapes):
    table = Tape(tapes).ticks(columns=["volume"])
    wanted = pa.schema([pa.field("volume", pa.float64())])
    assert pa.table(table, schema=wanted)["volume"].type == pa.float64()
    with pytest.raises(TypeError, match="must be an arrow_schema capsule"):
        table.__arrow_c_stream__("volume: double")


READS = """
import sys, polars as pl, kiteticker
table = kiteticker.Tape(sys.argv[1]).ticks()
print("reading", flush=True)
while True:
    try:
        pl.DataFrame(table)
    except Exception as error:
        print(error, flush=True)
"""


def test_ctrl_c_ends_a_program_that_reads_even_if_it_catches_errors(tapes):
    program = subprocess.Popen(
        [sys.executable, "-c", READS, str(tapes)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout.readline() == "reading\n"
        program.send_signal(2)
        _, errors = program.communicate(timeout=PATIENCE_S)
    finally:
        program.kill()
    assert "KeyboardInterrupt" in errors, errors


LIST = """instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,segment,exchange
408065,1594,INFY,INFOSYS,0.0,,0.0,0.05,1,EQ,NSE,NSE
256265,1001,NIFTY 50,NIFTY 50,0.0,,0.0,0.0,0,EQ,INDICES,NSE
13010178,50821,NIFTY26DEC24500CE,"NIFTY",0.0,2026-12-29,24500.0,0.05,75,CE,NFO-OPT,NFO
13010434,50822,NIFTY26DEC24600CE,"NIFTY",0.0,2026-12-29,24600.0,0.05,75,CE,NFO-OPT,NFO
bad,50822,X,"X",0.0,2026-12-29,24500.0,0.05,75,PE,NFO-OPT,NFO
"""


@pytest.fixture
def instruments(tmp_path):
    path = tmp_path / "instruments.csv"
    path.write_text(LIST)
    return path


def test_instruments_are_found_by_name_and_by_token(instruments):
    found = Instruments(instruments)
    assert len(found) == len(list(found)) == 4
    infy = found["NSE:INFY"]
    assert infy == found["infy"] == found[INFY] == found.get("NSE:INFY") and infy in set(found)
    assert (infy.symbol, infy.instrument_token, infy.lot_size) == ("NSE:INFY", INFY, 1)
    assert (infy.expiry, infy.strike, infy.exchange_token) == (None, None, 1594)
    assert "NSE:INFY" in found and "NSE:TCS" not in found and 5 not in found and None not in found
    assert found.get("NSE:TCS") is None and found.get(5, "?") == "?"
    with pytest.raises(KeyError, match="no instrument is named NSE:INFI; did you mean NSE:INFY"):
        found["NSE:INFI"]
    with pytest.raises(KeyError, match="no instrument has the token 5"):
        found[5]
    assert found.problem_count == 1 and "line 6" in found.problems[0]
    call = found["NFO:NIFTY26DEC24500CE"]
    assert (call.expiry, call.strike) == (dt.date(2026, 12, 29), 24500.0)
    assert found.search("nifty 24500 ce")[0] == call
    day = dt.date(2026, 11, 30)
    assert found.select("NIFTY nearest ATM CE", spot=24511.5, day=day) == [call]
    assert len(found.select("NIFTY nearest 24500+-1 CE", day="2026-11-30")) == 2
    with pytest.raises(ValueError, match="the price of NIFTY"):
        found.select("NIFTY nearest ATM CE", day=day)
    with pytest.raises(ValueError, match="spot is x"):
        found.select("NIFTY nearest ATM CE", spot="x", day=day)


def test_a_list_names_the_instruments_of_a_tape(tapes, instruments):
    renamed = instruments.with_name("renamed.csv")
    renamed.write_text(LIST.replace(",INFY,", ",OTHER,"))
    for given in [renamed, Instruments(renamed)]:
        table = Tape(tapes, given).ticks("NSE:OTHER", columns=["symbol", "instrument_token"])
        assert pl.DataFrame(table).unique().rows() == [("NSE:OTHER", INFY)]
    infy = Instruments(instruments)["NSE:INFY"]
    assert len(pl.DataFrame(Tape(tapes).ticks(infy))) > 0


def test_a_list_that_cannot_be_loaded_raises(tmp_path, instruments):
    with pytest.raises(OSError, match="cannot be read"):
        Instruments(tmp_path / "none.csv")
    (tmp_path / "text.csv").write_text("what is this")
    with pytest.raises(ValueError, match="is it Kite's instruments CSV"):
        Instruments(tmp_path / "text.csv")
    with pytest.raises(OSError, match="no instrument list of 2026-11-23 is cached"):
        Instruments(day=dt.date(2026, 11, 23), cache_dir=tmp_path)
    with pytest.raises(OSError, match="cannot get the instrument list"):
        Instruments(url="http://127.0.0.1:1/instruments", cache_dir=tmp_path)
    with pytest.raises(ValueError, match="given together"):
        Instruments(api_key="key", cache_dir=tmp_path)


def test_a_list_is_fetched_once_a_day_and_an_older_one_is_used_with_a_warning(tmp_path, instruments):
    import http.server
    import threading

    requests = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.send_response(200 if len(requests) == 1 else 500)
            self.end_headers()
            self.wfile.write(LIST.encode() if len(requests) == 1 else b"")

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        place = {"url": f"http://127.0.0.1:{server.server_port}/list", "cache_dir": tmp_path / "cache"}
        assert Instruments(**place)["NSE:INFY"] == Instruments(**place)[INFY]
        assert requests == ["/list"]
        with pytest.warns(UserWarning, match="using the instrument list of 20"):
            assert len(Instruments(**place, refresh=True)) == 4
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    ("ticks", "options"),
    [
        ({"every": "1s"}, ["--every", "1s"]),
        (
            {"every": ["1s", "1d"], "instruments": ["NSE:INFY"], "prices": "float", "pre_open": True},
            ["--every", "1s,1d", "--instruments", "NSE:INFY", "--prices", "float", "--pre-open"],
        ),
        ({"every": "5s", "fill": True, "grace": 0.5}, ["--every", "5s", "--fill", "--grace", "500ms"]),
    ],
)
def test_bars_are_equal_to_the_file_of_kite_candles(session, tmp_path, ticks, options):
    to = tmp_path / "bars.parquet"
    line = [KITE, "candles", session, "--to", to, *options]
    done = subprocess.run(line, capture_output=True, timeout=PATIENCE_S)
    assert done.returncode in (0, 1), done.stderr
    table = kiteticker.candles(session, **ticks)
    bars, expected = pl.DataFrame(table), pl.read_parquet(to)
    assert len(expected) > 0 and bars.schema == expected.schema
    assert bars.equals(expected)
    assert table.summary["bars"] == len(bars)
    assert {length["every"] for length in table.summary["lengths"]} <= {"1s", "5s", "1d"}
    assert pl.DataFrame(Tape(session).candles(**ticks)).equals(bars)


def test_wrong_bars_raise_what_they_are(tapes):
    for text, wanted in [
        ("every is \"2d\": not the length of a bar", {"every": "2d"}),
        ("every has 60s twice", {"every": ["1m", "60s"]}),
        ("grace", {"grace": -1.0}),
        ("grace", {"grace": 61.0}),
    ]:
        with pytest.raises(ValueError, match=text):
            Tape(tapes).candles(**wanted)


def test_bars_without_a_trade_in_the_session_are_reported_and_hours_can_be_set(session, tmp_path):
    tape = Tape(session)
    night = "all 20:00-21:00"
    with pytest.warns(TapeWarning, match="no bar was made: there are no trades within the sessions, and") as found:
        assert len(pl.DataFrame(tape.candles("1m", sessions=night))) == 0
    # The line that reads, and not one of polars.
    assert [warning.filename for warning in found] == [__file__]
    whole = pl.DataFrame(tape.candles("1m"))
    rules = tmp_path / "hours"
    rules.write_text("# shorter\nNSE:INFY 09:15-09:20\nall closed\n")
    lines = ["NSE:INFY 09:15-09:20", "all closed"]
    line = [KITE, "candles", session, "--to", tmp_path / "bars.parquet", "--sessions", rules]
    done = subprocess.run(line, capture_output=True, timeout=PATIENCE_S)
    assert done.returncode in (0, 1), done.stderr
    expected = pl.read_parquet(tmp_path / "bars.parquet")
    assert 0 < len(expected) < len(whole)
    for sessions in (rules, lines, "\n".join(lines)):
        assert pl.DataFrame(kiteticker.candles(session, "1m", sessions=sessions)).equals(expected)
    for wrong, text in [
        ("all", "sessions: line 1: expected hours such as 09:15-15:30, not nothing"),
        (["all closed", "NSE:INFI closed"], "sessions: line 2: no instrument is named NSE:INFI; did you mean"),
    ]:
        with pytest.raises(ValueError, match=text):
            tape.candles(sessions=wrong)


def test_a_reading_in_a_thread_warns_too(session):
    table = Tape(session).candles(sessions="all closed")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        thread = threading.Thread(target=pa.table, args=(table,))
        thread.start()
        thread.join()
    assert [warning.category for warning in found] == [TapeWarning]


def test_invalid_rows_of_a_list_are_reported(tmp_path):
    path = tmp_path / "instruments.csv"
    path.write_text(LIST)
    with pytest.warns(UserWarning, match="1 of 5 rows left out as invalid; the first: line 6: .*bad"):
        found = Instruments(path)
    assert (len(found), found.problem_count) == (4, 1)
