"""The ticks of a tape as our own decoder reads them, in the form in which the clients report."""

import json
from datetime import datetime
from decimal import Decimal

from processes import Failed, kite_run

MODES = ["ltp", "quote", "full"]
# Units of the wire per rupee.
DIVISORS = {"CDS": 10_000_000, "BCD": 10_000, "NCO": 10_000}
# Quote fields by the clients' names.
QUANTITIES = {
    "last_traded_quantity": "last_quantity",
    "volume_traded": "volume",
    "total_buy_quantity": "total_buy_quantity",
    "total_sell_quantity": "total_sell_quantity",
}
OPEN_INTEREST = ["oi", "oi_day_high", "oi_day_low"]
TIMES = {"last_trade_time": "last_trade_time", "exchange_timestamp": "exchange_time"}


def rows(tape):
    """Returns the rows of `kite export`, in the order of the tape."""
    status, out, errors = kite_run(
        "export", tape, "--to", "-", "--format", "jsonl", "--quiet-after", "1h"
    )
    if status != 0:
        raise Failed(f"kite export ended with {status}: {errors}")
    return [json.loads(line, parse_float=Decimal) for line in out.splitlines()]


def inspected(tape):
    """Returns the summary of `kite inspect`."""
    status, out, errors = kite_run("inspect", tape, "--json", "--top", "100")
    if status != 0:
        raise Failed(f"kite inspect ended with {status}: {errors}")
    return json.loads(out)


def as_reported(row, mode, client):
    """Returns a row as a client that has subscribed it in this mode reports it. A packet that was
    recorded in a leaner mode is sent as it is."""
    mode = min(mode, row["mode"], key=MODES.index)
    return {"token": row["instrument_token"], "mode": mode, "fields": _fields(row, mode, client)}


def _fields(row, mode, client):
    segment = row["segment"]
    divisor = DIVISORS.get(segment, 100)
    # The Node client does not know the segment (docs/protocol.md).
    shown = 100 if (client, segment) == ("Node", "NCO") else divisor

    def price(name):
        return int(Decimal(row[name]) * divisor) / shown

    is_index = segment == "INDICES"
    fields = {"tradable": not is_index, "last_price": price("last_price")}
    if mode == "ltp":
        return fields
    ohlc = {name: price(name) for name in ["open", "high", "low", "close"]}
    # The clients do not show the change that is sent.
    change = (fields["last_price"] - ohlc["close"]) * 100 / ohlc["close"]
    fields |= {"ohlc": ohlc, "change": change}
    if not is_index:
        fields |= {name: row[column] for name, column in QUANTITIES.items()}
        fields["average_traded_price"] = price("average_price")
    if mode == "quote":
        return fields
    fields["exchange_timestamp"] = _seconds(row["exchange_time"])
    if not is_index:
        fields |= {name: row[name] for name in OPEN_INTEREST}
        fields["last_trade_time"] = _seconds(row["last_trade_time"])
        sides = {"buy": "bid", "sell": "ask"}
        fields["depth"] = {
            side: [_level(row, name, level, price) for level in range(1, 6)]
            for side, name in sides.items()
        }
    return fields


def _level(row, side, level, price):
    return {
        "quantity": row[f"{side}_quantity_{level}"],
        "price": price(f"{side}_price_{level}"),
        "orders": row[f"{side}_orders_{level}"],
    }


def _seconds(time):
    return time and int(datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp())


def by_token(ticks, name="token"):
    """Returns the ticks, or the rows, of each instrument in order."""
    lists = {}
    for tick in ticks:
        lists.setdefault(tick[name], []).append(tick)
    return lists
