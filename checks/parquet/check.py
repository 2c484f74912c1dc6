#!/usr/bin/env python3
"""Compares exported tables with sums over the tape, using third-party readers.

    check.py SUMS.json TABLE...

SUMS.json is written by the example `sums` of kite-export, which decodes the tape with kite-wire
only. Parquet is read by pyarrow and polars, CSV by pyarrow, polars and Python's csv, JSON lines by
Python's json. Exits with 1 if anything differs.
"""

import csv
import datetime
import decimal
import json
import sys

import polars
import pyarrow
import pyarrow.csv
import pyarrow.parquet

decimal.getcontext().prec = 60
UNIT = decimal.Decimal(10) ** 7
SEGMENTS = {1: "NSE", 2: "NFO", 3: "CDS", 4: "BSE", 5: "BFO", 6: "BCD", 7: "MCX", 8: "MCXSX",
            9: "INDICES", 12: "NCO"}
PRICES = {"last_price", "average_price", "open", "high", "low", "close", "change"}
TIMES = {"recv_time", "last_trade_time", "exchange_time"}
TEXTS = {"symbol", "segment", "mode"}
SIDES = ("bid_price_", "ask_price_")
EPOCH = datetime.datetime(1970, 1, 1)


def is_price(name):
    return name in PRICES or name.startswith(SIDES)


def price_units(value):
    """Returns a price in units of 10**-7 rupees: decimals exactly, floats rounded."""
    if isinstance(value, float):
        return round(value * 1e7)
    units = value * UNIT
    assert units == units.to_integral_value(), f"{value} has more than seven decimals"
    return int(units)


def nanoseconds(text):
    """Parses an RFC 3339 time in UTC."""
    assert text.endswith("Z"), text
    seconds, _, fraction = text[:-1].partition(".")
    since = datetime.datetime.strptime(seconds, "%Y-%m-%dT%H:%M:%S") - EPOCH
    whole = since.days * 86_400 + since.seconds
    return whole * 1_000_000_000 + int(fraction.ljust(9, "0") or 0)


def text_value(text):
    return sum(text.encode())


def arrow_columns(table):
    """Yields the columns of a pyarrow table as lists of integers, and checks their types."""
    wrong = []
    for field in table.schema:
        name, kind = field.name, field.type
        column = table.column(name)
        if name in TIMES:
            unit = "ns" if name == "recv_time" else "ms"
            if kind != pyarrow.timestamp(unit, "UTC"):
                wrong.append(f"{name} is {kind}")
            scale = 1 if unit == "ns" else 1_000_000
            values = [v if v is None else v * scale for v in column.cast("int64").to_pylist()]
        elif is_price(name):
            if kind not in (pyarrow.decimal128(18, 7), pyarrow.float64()):
                wrong.append(f"{name} is {kind}")
            values = [v if v is None else price_units(v) for v in column.to_pylist()]
        elif name in TEXTS:
            values = column.to_pylist()
        else:
            if not pyarrow.types.is_integer(kind):
                wrong.append(f"{name} is {kind}")
            values = column.to_pylist()
        yield name, values
    assert not wrong, wrong


def polars_columns(frame):
    for name, kind in frame.schema.items():
        column = frame.get_column(name)
        if name in TIMES:
            assert isinstance(kind, polars.Datetime) and kind.time_zone == "UTC", (name, kind)
            scale = {"ns": 1, "us": 1_000, "ms": 1_000_000}[kind.time_unit]
            values = column.to_physical().to_list()
            values = [v if v is None else v * scale for v in values]
        elif is_price(name):
            assert isinstance(kind, (polars.Decimal, polars.Float64)), (name, kind)
            values = [v if v is None else price_units(v) for v in column.to_list()]
        elif name in TEXTS:
            values = column.cast(polars.String).to_list()
        else:
            assert kind.is_integer(), (name, kind)
            values = column.to_list()
        yield name, values


def text_columns(rows, names):
    """Yields the columns of rows whose cells are strings or null."""
    for name in names:
        cells = [row.get(name) for row in rows]
        if name in TIMES:
            convert = nanoseconds
        elif is_price(name):
            convert = lambda text: price_units(decimal.Decimal(text))
        elif name in TEXTS:
            convert = str
        else:
            convert = int
        yield name, [None if cell in (None, "") else convert(cell) for cell in cells]


def read_csv_arrow(path):
    types = {}
    with open(path, newline="", encoding="utf-8") as file:
        for name in next(csv.reader(file)):
            if name in TIMES:
                # pyarrow parses timestamps with nanoseconds and a zone only into these types.
                types[name] = pyarrow.timestamp("ns" if name == "recv_time" else "ms", "UTC")
            elif is_price(name):
                types[name] = pyarrow.decimal128(18, 7)
            elif name in TEXTS:
                types[name] = pyarrow.string()
            else:
                types[name] = pyarrow.int64()
    options = pyarrow.csv.ConvertOptions(column_types=types, strings_can_be_null=True)
    return arrow_columns(pyarrow.csv.read_csv(path, convert_options=options))


def read_csv_polars(path):
    frame = polars.read_csv(path, infer_schema=False)
    names = frame.columns
    return text_columns(frame.to_dicts(), names)


def read_csv_python(path):
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
        return text_columns(rows, reader.fieldnames)


def read_json_python(path):
    with open(path, encoding="utf-8") as file:
        # Numbers stay text, exactly as written.
        rows = [json.loads(line, parse_float=str, parse_int=str) for line in file]
    names = dict.fromkeys(name for row in rows for name in row)
    return text_columns(rows, names)


READERS = {
    "parquet": [
        ("pyarrow", lambda path: arrow_columns(pyarrow.parquet.read_table(path))),
        ("polars", lambda path: polars_columns(polars.read_parquet(path))),
    ],
    "csv": [("pyarrow", read_csv_arrow), ("polars", read_csv_polars), ("csv", read_csv_python)],
    "jsonl": [("json", read_json_python)],
}


def differences(expected, columns):
    """Returns the differences between a table and the tape, and the number of cells compared."""
    found = dict(columns)
    wrong = []
    cells = 0
    columns_expected = expected["columns"]
    for name in columns_expected.keys() - found.keys():
        wrong.append(f"column {name} is missing")
    for name, values in found.items():
        if len(values) != expected["rows"]:
            wrong.append(f"{name}: {len(values)} rows, {expected['rows']} on the tape")
        if name == "segment":
            counts = {}
            for value in values:
                counts[value] = counts.get(value, 0) + 1
            segments = {SEGMENTS.get(int(code), code): n for code, n in expected["segments"].items()}
            if counts != segments:
                wrong.append(f"segments: {counts}, {segments} on the tape")
            continue
        if name == "mode":
            counts = {mode: values.count(mode) for mode in ("ltp", "quote", "full")}
            if counts != expected["modes"]:
                wrong.append(f"modes: {counts}, {expected['modes']} on the tape")
        if name == "recv_time" and (min(values), max(values)) != (
            expected["earliest"],
            expected["latest"],
        ):
            wrong.append(f"recv_time from {min(values)} to {max(values)}")
        if name in TEXTS:
            values = [None if value is None else text_value(value) for value in values]
        sums = {"count": 0, "sum": 0, "weighted": 0}
        for row, value in enumerate(values, 1):
            if value is not None:
                sums["count"] += 1
                sums["sum"] += value
                sums["weighted"] += value * row
        cells += sums["count"]
        if sums != columns_expected.get(name, {"count": 0, "sum": 0, "weighted": 0}):
            wrong.append(f"{name}: {sums}, {columns_expected.get(name)} on the tape")
    return wrong, cells


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        expected = json.load(file)
    versions = f"pyarrow {pyarrow.__version__}, polars {polars.__version__}"
    print(f"{expected['rows']} rows expected, segments {expected['segments']}; {versions}")
    failed = False
    for path in sys.argv[2:]:
        for reader, read in READERS[path.rsplit(".", 1)[1]]:
            try:
                wrong, cells = differences(expected, read(path))
            except Exception as error:  # A file that cannot be read counts as a difference.
                wrong, cells = [f"{type(error).__name__}: {error}"], 0
            failed = failed or bool(wrong)
            verdict = "DIFFERS" if wrong else "equal"
            name = path.rsplit("/", 1)[-1]
            print(f"{verdict:8} {name:16} by {reader:8} {cells} cells")
            for line in wrong:
                print(f"         {line}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
