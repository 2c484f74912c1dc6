#!/usr/bin/env python3
"""Runs the recipes of the documentation and checks what they compute.

    check.py DATA KITE

DATA is a directory with the exported tape of kite-export's example `recipe_tape`, KITE the built
command. Every block of Python or SQL in a Markdown file of the project must have a name, in the comment
`<!-- recipe: NAME -->` on the line before it, and an expectation in this file. Exits with 1 if a
recipe fails, computes something else, or has no expectation.
"""

import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import threading

import duckdb

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(?:<!-- recipe: ([\w-]+) -->\n)?```(python|py|sql)\n(.*?)^```$", re.M | re.S)
IST = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
INFY, RELIANCE, NIFTY_50, UNLISTED = 408065, 738561, 256265, 11184641

# Minute in India, open, high, low, close, volume. What was traded before a day's first tick is in
# no bar.
INFY_BARS = [
    ("2026-11-23 09:15", 1500.0, 1502.0, 1500.0, 1502.0, 150),
    ("2026-11-23 09:16", 1501.0, 1501.0, 1501.0, 1501.0, 150),
    ("2026-11-23 09:18", 1503.0, 1503.0, 1503.0, 1503.0, 50),
    ("2026-11-24 09:15", 1510.0, 1510.0, 1510.0, 1510.0, 0),
    ("2026-11-24 09:16", 1509.0, 1509.0, 1509.0, 1509.0, 90),
]
# Ticks of each partition.
COUNTS = {
    ("2026-11-23", "NSE:INFY"): 4,
    ("2026-11-23", "NSE:NIFTY 50"): 1,
    ("2026-11-23", "NSE:RELIANCE"): 2,
    ("2026-11-23", "TOKEN:11184641"): 1,
    ("2026-11-24", "NSE:INFY"): 2,
}
VOLUMES = [(NIFTY_50, None), (INFY, 590), (RELIANCE, 1600), (UNLISTED, None)]


def equal(found, expected):
    assert found == expected, f"\n   found {found}\nexpected {expected}"


def minute(time):
    return time.astimezone(IST).strftime("%Y-%m-%d %H:%M")


def bar(time, *values):
    return (minute(time), *(float(value) for value in values[:4]), int(values[4] or 0))


def pandas_bars(names):
    bars = names["bars"]
    equal([bar(row.Index.to_pydatetime(), *row[1:]) for row in bars.itertuples()], INFY_BARS)


def polars_bars(names):
    equal([bar(*row) for row in names["bars"].iter_rows()], INFY_BARS)


def duckdb_bars(results):
    (rows,) = results
    equal([bar(*row[1:]) for row in rows if row[0] == "NSE:INFY"], INFY_BARS)
    equal([bar(*row[1:])[::5] for row in rows if row[0] == "NSE:RELIANCE"],
          [("2026-11-23 09:15", 0), ("2026-11-23 09:16", 600)])


def duckdb_spread(results):
    (rows,) = results
    equal([(*row[:3], round(row[3], 9)) for row in rows],
          [("NSE:INFY", 6, 590, 0.1), ("NSE:RELIANCE", 2, 1600, 0.1)])


def duckdb_gaps(results):
    (rows,) = results
    equal([(row[3], row[4]) for row in rows], [(INFY, "NSE:INFY")])


def pandas_partitions(names):
    equal(list(names["infy"]["volume"]), [100, 250, 400, 450])
    counts = names["all_days"].groupby(["date", "symbol"], observed=True).size().to_dict()
    equal(counts, COUNTS)


def polars_partitions(names):
    equal(names["infy"]["volume"].to_list(), [100, 250, 400, 450])
    counts = names["ticks"].collect().group_by("date", "symbol").len().iter_rows()
    equal({(str(date), symbol): count for date, symbol, count in counts}, COUNTS)


def duckdb_partitions(results):
    (rows,) = results
    expected = {key: count for key, count in COUNTS.items() if key[0] == "2026-11-23"}
    equal({(str(date), symbol): count for date, symbol, count in rows}, expected)


def pandas_ist(names):
    equal(str(names["ticks"].index.dtype), "datetime64[us, Asia/Kolkata]")
    equal(len(names["first_minute"]), 6)


def polars_text(names):
    for frame in (names["ticks"], names["same"]):
        equal(len(frame), 10)
        equal(largest(frame.to_dicts()), dict(VOLUMES))
    equal(minute(names["same"]["recv_time"][2].replace(tzinfo=datetime.timezone.utc)),
          "2026-11-23 09:15")


def pandas_text(names):
    equal(names["ticks"]["last_price"][2], "1500.00")
    for frame in (names["ticks"], names["same"]):
        equal(minute(frame["recv_time"][2].to_pydatetime()), "2026-11-23 09:15")
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
        equal(largest(rows), dict(VOLUMES))


def duckdb_text(results):
    for rows in results:
        equal(sorted(rows), sorted(VOLUMES))


def tape_polars(names):
    rows = names["infy"].rows()
    equal([(minute(time), float(price)) for time, price, _ in rows][:1], [("2026-11-23 09:15", 1500.0)])
    equal(len(rows), COUNTS["2026-11-23", "NSE:INFY"] + COUNTS["2026-11-24", "NSE:INFY"])


def tape_duckdb(names):
    equal(names["volumes"], VOLUMES)


def strategy_test(names):
    names["test_the_strategy_sees_ticks"]()


def stream(names):
    assert len(names["spreads"]) >= 10 and min(names["spreads"]) > 0, names["spreads"]


def stream_asyncio(names):
    assert all(1_000 < price < 2_000 for price in names["prices"]), names["prices"]


def stream_tables(names):
    assert {"NSE:INFY", "NSE:TCS", "NSE:RELIANCE"} >= set(names["last"]["symbol"]) > set()
    full = names["table"].filter(mode="full")
    equal(full["volume"].to_list(), names["volumes"].tolist())


def largest(rows):
    """Returns the largest volume of each instrument."""
    volumes = {}
    for row in rows:
        known = [it for it in (row["volume"], volumes.get(row["instrument_token"])) if it is not None]
        volumes[row["instrument_token"]] = max(known, default=None)
    return volumes


def kiteconnect(source, kite):
    """Runs the client against `kite sim` until it has printed both instruments."""
    sim = subprocess.Popen([kite, "sim", "--json"], stdout=subprocess.PIPE, text=True)
    try:
        endpoint = json.loads(sim.stdout.readline())["endpoint"]
        assert "ws://127.0.0.1:8765" in source
        source = source.replace("ws://127.0.0.1:8765", endpoint)
        client = subprocess.Popen([sys.executable, "-u", "-c", source], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        # A client that receives nothing waits for ever.
        patience = threading.Timer(60, client.kill)
        patience.start()
        try:
            missing = {"'instrument_token': 256265", "'instrument_token': 408065"}
            for line in client.stdout:
                missing -= {text for text in missing if text in line}
                if not missing:
                    break
        finally:
            patience.cancel()
            client.kill()
            errors = client.communicate()[1]
        assert not missing, f"never printed {missing}: {errors}"
    finally:
        sim.kill()
        sim.wait()


EXPECTED = {
    "pandas-bars": pandas_bars,
    "polars-bars": polars_bars,
    "duckdb-bars": duckdb_bars,
    "duckdb-spread": duckdb_spread,
    "duckdb-gaps": duckdb_gaps,
    "pandas-partitions": pandas_partitions,
    "polars-partitions": polars_partitions,
    "duckdb-partitions": duckdb_partitions,
    "pandas-ist": pandas_ist,
    "polars-text": polars_text,
    "pandas-text": pandas_text,
    "duckdb-text": duckdb_text,
    "kiteconnect": kiteconnect,
    "kiteticker": kiteconnect,
    "strategy-test": strategy_test,
    "stream": stream,
    "stream-asyncio": stream_asyncio,
    "stream-tables": stream_tables,
    "tape-polars": tape_polars,
    "tape-duckdb": tape_duckdb,
}


def recipes():
    """Yields page, line, name, language and text of every recipe."""
    for path in sorted(ROOT.rglob("*.md")):
        page = path.relative_to(ROOT)
        if path.is_symlink() or any(it == "target" or it.startswith(".") for it in page.parts):
            continue
        text = path.read_text(encoding="utf-8")
        for block in BLOCK.finditer(text):
            yield page, text[: block.start()].count("\n") + 1, *block.groups()


def run(name, language, text, kite):
    check = EXPECTED[name]
    if check is kiteconnect:
        check(text, kite)
    elif language == "sql":
        connection = duckdb.connect()
        check([connection.execute(it).fetchall() for it in connection.extract_statements(text)])
    else:
        names = {}
        exec(compile(text, name, "exec"), names)
        check(names)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    kite = os.path.abspath(sys.argv[2])
    found = list(recipes())
    os.chdir(sys.argv[1])
    failed = 0
    for page, line, name, language, text in found:
        try:
            assert name, "has no name: write <!-- recipe: NAME --> on the line before it"
            assert name in EXPECTED, "has no expectation in checks/recipes/check.py"
            run(name, language, text, kite)
            print(f"equal    {name:16} {page}:{line}")
        except Exception as error:
            failed += 1
            print(f"DIFFERS  {name or language:16} {page}:{line}: {type(error).__name__}: {error}")
    for name in EXPECTED.keys() - {recipe[2] for recipe in found}:
        failed += 1
        print(f"MISSING  {name:16} is in no page")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
