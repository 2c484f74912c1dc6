"""Computes bars from exported ticks with polars, by another method than kite-candles, and compares
every column of every bar: differences and group_by_dynamic instead of one packet after the other.

    check.py DIRECTORY     with ticks.parquet, events.parquet, bars.parquet and summary.json

The session must be the whole day, and the market must not run past midnight in India. Exits with 1 if
a bar differs.
"""

import json
import sys
from pathlib import Path

import polars as pl

GRACE_NS = 2_000_000_000
SECOND_NS = 1_000_000_000
INDIA_NS = 19_800 * SECOND_NS
DAY_NS = 86_400 * SECOND_NS


def day(ns):
    return (ns + INDIA_NS) // DAY_NS


def read_ticks(directory):
    """The packets in the order of the tape, with times in nanoseconds and prices in 10**-7 rupees."""
    price = lambda name: (pl.col(name) * 10_000_000).cast(pl.Int64).alias(name)
    seconds = lambda name: pl.col(name).dt.epoch("s").cast(pl.Int64).alias(name)
    ticks = pl.read_parquet(directory / "ticks.parquet").with_row_index("at")
    return ticks.select(
        "at",
        pl.col("instrument_token").alias("token"),
        pl.col("segment").cast(pl.String),
        (pl.col("account").cast(pl.Int64) * 256 + pl.col("connection")).alias("source"),
        pl.col("recv_time").dt.epoch("ns").alias("recv"),
        price("last_price").alias("price"),
        "volume",
        price("high"),
        price("low"),
        "oi",
        seconds("exchange_time"),
        # The values of an index have the exchange timestamp.
        pl.when(pl.col("segment").cast(pl.String) == "INDICES")
        .then(seconds("exchange_time"))
        .otherwise(seconds("last_trade_time"))
        .alias("traded"),
    )


def without_older(ticks):
    """Times that cannot be are left out, and then packets with an older state than one before."""
    latest = (pl.col("recv") + GRACE_NS) // SECOND_NS
    past = lambda name: pl.when(pl.col(name) <= latest).then(pl.col(name)).alias(name)
    ticks = ticks.with_columns(past("traded"), past("exchange_time"))
    newest = pl.col("exchange_time").cum_max().forward_fill().shift().over("token", order_by="at")
    is_older = (pl.col("exchange_time") < newest).fill_null(False)
    return ticks.filter(~is_older), ticks.filter(is_older).height


def losses(directory, ticks):
    """When connections lost their feed, from the events: (source, from). None is all of them."""
    events = pl.read_parquet(directory / "events.parquet").with_columns(
        pl.col("kind").cast(pl.String),
        pl.col("recv_time").dt.epoch("ns").alias("recv"),
        pl.col("from_time").dt.epoch("ns").alias("from"),
        (pl.col("account").cast(pl.Int64) * 256 + pl.col("connection")).alias("source"),
    )
    received = pl.concat(
        [
            ticks.select("source", "recv"),
            events.filter(pl.col("kind").is_in(["heartbeat", "text"])).select("source", "recv"),
        ]
    )
    found = []
    notes = events.filter(pl.col("kind") == "note")
    for source, recv, text in notes.select("source", "recv", "text").iter_rows():
        if text.startswith(('{"event":"down"', '{"event":"closed"')):
            of_source = received.filter((pl.col("source") == source) & (pl.col("recv") <= recv))
            found.append((source, of_source["recv"].max(), recv))
    stopped = events.filter((pl.col("kind") == "gap") & (pl.col("account") == 255))
    found += [(None, start, recv) for start, recv in stopped.select("from", "recv").iter_rows()]
    last = max(ticks["recv"].max(), events["recv"].max())
    found.append((None, last, last))
    return found, events.filter(pl.col("kind") == "gap").height


def stretches(ticks, lost):
    """The time without a feed of each instrument, up to its next packet, without overlaps."""
    found = []
    for source, start, noted in lost:
        before = ticks.filter(pl.col("recv") <= noted).group_by("token", maintain_order=True).last()
        if source is not None:
            before = before.filter(pl.col("source") == source)
        after = ticks.filter(pl.col("recv") > noted).group_by("token").agg(pl.col("recv").min())
        stretch = before.select("token").join(after, on="token", how="left")
        found.append(stretch.select("token", pl.lit(start).alias("from"), pl.col("recv").alias("to")))
    ever = 2**62
    found = pl.concat(found).with_columns(pl.col("to").fill_null(ever)).sort("token", "from", "to")
    # Those that end with the same packet are one, from the earliest start.
    return found.group_by("token", "to").agg(pl.col("from").min()).sort("token", "from")


def compared(ticks, gaps):
    """Each packet with what it shows beside the one before, as differences."""
    # The last value that was sent: an instrument in ltp mode begins with a packet of quote mode.
    before = lambda name: pl.col(name).forward_fill().shift().over("token", order_by="at")
    has_traded = pl.col("volume").fill_null(1) > 0
    has_extremes = has_traded & ~((pl.col("high") == 0) & (pl.col("low") == 0))
    ticks = ticks.with_columns(
        pl.when(has_extremes).then(pl.col(name)).alias(name) for name in ("high", "low")
    )
    ticks = ticks.with_columns(
        before(name).alias(f"{name}_before")
        for name in ("price", "volume", "high", "low", "traded", "recv", "exchange_time")
    )
    began = (pl.col("volume_before") == 0).fill_null(False)
    new = lambda now, past, is_new: is_new.fill_null(now.is_not_null() & past.is_null() & began)
    ticks = ticks.with_columns(
        (pl.col("volume") - pl.col("volume_before")).alias("change"),
        new(pl.col("high"), pl.col("high_before"), pl.col("high") > pl.col("high_before")).alias("is_high"),
        new(pl.col("low"), pl.col("low_before"), pl.col("low") < pl.col("low_before")).alias("is_low"),
    )
    moved = (pl.col("price") != pl.col("price_before")) | (
        pl.col("traded") > pl.col("traded_before")
    ).fill_null(False)
    is_trade = (
        pl.when(pl.col("recv_before").is_null())
        .then(False)
        .when(pl.col("volume").is_null())
        .then(moved | pl.col("is_high") | pl.col("is_low"))
        .otherwise((pl.col("change") != 0) | pl.col("is_high") | pl.col("is_low"))
    )
    is_today = (day(pl.col("traded") * SECOND_NS) == day(pl.col("recv"))).fill_null(False)
    # The packet before had its state from the exchange, if that said when.
    state_before = pl.min_horizontal(pl.col("exchange_time_before") * SECOND_NS, "recv_before")
    ends = gaps.select("token", pl.col("to").alias("recv")).unique().with_columns(snapshot=True)
    ticks = ticks.join(ends, on=["token", "recv"], how="left").sort("at")
    return ticks.with_columns(
        is_trade=is_trade,
        by_arrival=~is_today,
        second=pl.when(is_today).then(pl.col("traded")).otherwise(pl.col("recv") // SECOND_NS),
        state_before=state_before.fill_null(pl.col("recv_before")),
        snapshot=pl.col("snapshot").fill_null(False),
    )


def seconds_of(length):
    return int(length[:-1]) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[length[-1]]


def start_of(second, every):
    """The start of the bar with a second, counted from midnight in India."""
    return (second + INDIA_NS // SECOND_NS) // every * every - INDIA_NS // SECOND_NS


def windows(ticks, column, length):
    """Groups packets by instrument and bar, on India's time."""
    time = pl.from_epoch(pl.col(column), time_unit="s").dt.replace_time_zone("UTC")
    ticks = ticks.with_columns(time.dt.convert_time_zone("Asia/Kolkata").alias("time")).sort("time", "at")
    return ticks.group_by_dynamic("time", every=length, group_by="token")


def bars(ticks, gaps, length):
    """The bars of one length, computed for all instruments together."""
    every = seconds_of(length)
    trades = ticks.filter("is_trade")
    first_recv = ticks.group_by("token").agg(pl.col("recv").min().alias("since"))
    high = pl.max_horizontal("price", pl.when("is_high").then("high"))
    low = pl.min_horizontal("price", pl.when("is_low").then("low"))
    rise = pl.when(pl.col("change") > 0).then("change").otherwise(pl.when(pl.col("volume").is_not_null()).then(0))
    start = start_of(pl.col("second"), every)
    # An extreme that is not the price of its packet may be of an earlier bar.
    unseen = (pl.col("is_high") & (pl.col("high") != pl.col("price"))) | (
        pl.col("is_low") & (pl.col("low") != pl.col("price"))
    )
    extreme_late = unseen & (pl.col("state_before") < start * SECOND_NS)
    late = pl.col("recv") >= (start + every) * SECOND_NS + GRACE_NS
    trades = trades.with_columns(
        high_here=high, low_here=low, rise=rise, extreme_late=extreme_late, late=late
    )
    found = windows(trades, "second", length).agg(
        pl.col("price").sort_by("at").first().alias("open"),
        pl.col("high_here").max().alias("high"),
        pl.col("low_here").min().alias("low"),
        pl.col("price").sort_by("at").last().alias("close"),
        pl.when(pl.col("rise").count() > 0)
        .then(pl.col("rise").filter(~pl.col("snapshot")).sum())
        .alias("volume"),
        pl.col("rise").filter("snapshot").sum().alias("missed_volume"),
        pl.len().cast(pl.Int64).alias("packets"),
        pl.col("recv").sort_by("at").first().alias("first_time"),
        pl.col("recv").sort_by("at").last().alias("last_time"),
        pl.col("snapshot").any().alias("has_snapshot"),
        pl.col("snapshot").sort_by("at").first().alias("cached_open"),
        (pl.col("change") < 0).any().alias("volume_fell"),
        pl.col("by_arrival").any(),
        pl.col("extreme_late").any(),
        pl.col("late").any(),
    )
    found = found.with_columns(pl.col("time").dt.epoch("s").alias("start")).drop("time")

    # Open interest is that of the last packet in the bar, also without a trade.
    interest = pl.concat(
        [
            trades.select("token", "at", "oi", start.alias("start")),
            ticks.select("token", "at", "oi", start_of(pl.col("recv") // SECOND_NS, every).alias("start")),
        ]
    ).filter(pl.col("oi").is_not_null())
    interest = interest.sort("at").group_by("token", "start").agg(pl.col("oi").last())
    found = found.join(interest, on=["token", "start"], how="left")

    within = found.select("token", "start").join(gaps, on="token").with_columns(
        missed=(
            pl.min_horizontal("to", (pl.col("start") + every) * SECOND_NS)
            - pl.max_horizontal("from", pl.col("start") * SECOND_NS)
        ).clip(0)
    )
    within = within.group_by("token", "start").agg(pl.col("missed").sum())
    found = found.join(within, on=["token", "start"], how="left").join(first_recv, on="token")
    missed = pl.col("missed").fill_null(0)
    flags = {
        "partial_start": pl.col("since") > pl.col("start") * SECOND_NS,
        "gap": (missed > 0) | pl.col("has_snapshot"),
        "late": pl.col("late"),
        "cached_open": pl.col("cached_open"),
        "extreme_late": pl.col("extreme_late").fill_null(False),
        "volume_fell": pl.col("volume_fell").fill_null(False),
        "by_arrival": pl.col("by_arrival"),
    }
    names = [pl.when(condition).then(pl.lit(name)) for name, condition in flags.items()]
    return found.select(
        "start",
        "token",
        "open",
        "high",
        "low",
        "close",
        "volume",
        "oi",
        "packets",
        pl.col("first_time") // 1_000,
        pl.col("last_time") // 1_000,
        (missed // 1_000_000).alias("missed_ms"),
        "missed_volume",
        pl.concat_str(names, separator=" ", ignore_nulls=True).alias("flags"),
    ).sort("start", "token")


def read_bars(path):
    price = lambda name: (pl.col(name) * 10_000_000).cast(pl.Int64).alias(name)
    return pl.read_parquet(path).select(
        pl.col("every").cast(pl.String),
        pl.col("start").dt.epoch("s"),
        pl.col("instrument_token").alias("token"),
        price("open"),
        price("high"),
        price("low"),
        price("close"),
        "volume",
        "oi",
        "packets",
        pl.col("first_time").dt.epoch("us"),
        pl.col("last_time").dt.epoch("us"),
        "missed_ms",
        "missed_volume",
        pl.col("flags").cast(pl.String),
    )


def report(name, made, expected):
    """Prints and counts the bars that differ."""
    keys = ["start", "token"]
    same = made.join(expected, on=made.columns, how="inner", nulls_equal=True)
    flags = made["flags"].str.split(" ").explode().value_counts(sort=True)
    counts = {flag: count for flag, count in flags.iter_rows() if flag}
    wrong = max(made.height, expected.height) - same.height
    print(f"{'equal' if not wrong else 'DIFFERS':8} {name}: {made.height} bars, flags {counts}")
    if wrong:
        different = made.join(expected, on=made.columns, how="anti", nulls_equal=True)
        beside = different.join(expected, on=keys, how="left", suffix="_polars").head(5)
        for row in beside.iter_rows(named=True):
            print({key: value for key, value in row.items() if value != row.get(f"{key}_polars")})
        print("only by polars:", expected.join(made, on=keys, how="anti").head(5))
    return wrong, counts


def main():
    directory = Path(sys.argv[1])
    ticks, older = without_older(read_ticks(directory))
    lost, gaps_recorded = losses(directory, ticks)
    gaps = stretches(ticks, lost)
    ticks = compared(ticks, gaps)
    tokens = ticks["token"].n_unique()
    print(f"{ticks.height} ticks of {tokens} instruments, {older} out of order, {gaps_recorded} gaps")
    summary = json.loads((directory / "summary.json").read_text())
    made = read_bars(directory / "bars.parquet")
    rises = ticks.filter(pl.col("change") > 0)["change"].sum()
    wrong, flags = 0, {}
    for counts in summary["lengths"]:
        length = counts["every"]
        of_length = made.filter(pl.col("every") == length).drop("every")
        differ, found = report(length, of_length, bars(ticks, gaps, length))
        wrong, flags = wrong + differ, flags | found
        # What is in the bars is all that was seen to trade.
        summed = of_length["volume"].sum() + of_length["missed_volume"].sum()
        if not (counts["volume"] == rises == summed and counts["late_gaps"] == 0):
            print(f"DIFFERS  {length}: volume {counts['volume']}, {summed} in bars, {rises} by polars")
            wrong += 1
    # The market had all of this, so that equal bars show something.
    for flag in ("gap", "cached_open", "extreme_late", "volume_fell", "by_arrival", "partial_start"):
        if flag not in flags:
            print(f"DIFFERS  no bar is flagged {flag}")
            wrong += 1
    sys.exit(wrong > 0 or tokens != 3_000 or gaps_recorded < 3)


main()
