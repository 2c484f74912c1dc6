"""Measures Arrow tables: reading a tape into polars, beside reading the same rows from Parquet, and
the columns of a live batch.

    python python/benches/tape.py KITE [TAPES]    # without TAPES: a minute of the simulator

Needs this package built for release (`pip install ./python`), `polars` and the built command KITE.
The Parquet file is written by `kite export` first; the frames are compared. Reading is repeated in
alternating rounds, of which the fastest counts, and the one that took the least CPU time of all
threads; the files are in the page cache.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

from kiteticker import Sim, Stream, Tape

ROUNDS = 5
SOME = ["instrument_token", "last_price", "volume"]


def main(kite, tapes=None):
    with tempfile.TemporaryDirectory() as work:
        if tapes is None:
            tapes = Path(work) / "tapes"
            line = [kite, "record", "--sim", "--count", "3000", "--rate", "10", "--for", "60s"]
            subprocess.run([*line, "--to", tapes, "--json"], check=True, stdout=subprocess.DEVNULL)
        file, floats = Path(work) / "day.parquet", Path(work) / "floats.parquet"
        for to, options in [(file, []), (floats, ["--prices", "float"])]:
            line = [kite, "export", tapes, "--to", to, *options]
            subprocess.run(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        measure(Tape(tapes), file, floats)


def measure(tape, file, floats):
    ways = {
        "all columns, tape": lambda: pl.DataFrame(tape.ticks()),
        "all columns, Parquet": lambda: pl.read_parquet(file),
        "all columns, floats, tape": lambda: pl.DataFrame(tape.ticks(prices="float")),
        "all columns, floats, Parquet": lambda: pl.read_parquet(floats),
        "three columns, tape": lambda: pl.DataFrame(tape.ticks(columns=SOME, prices="float")),
        "three columns, Parquet": lambda: pl.read_parquet(floats, columns=SOME),
    }
    assert ways["all columns, tape"]().equals(ways["all columns, Parquet"]())
    rows = len(ways["three columns, tape"]())
    size, parquet = sum(path.stat().st_size for path in tape.files), file.stat().st_size
    print(f"{rows:,} ticks; {size / rows:.0f} bytes each on the tape, {parquet / rows:.0f} in Parquet")
    compare(ways, rows, ROUNDS)


def live():
    """Measures the columns of one batch of full ticks, without what a consumer makes of them."""
    instruments = dict.fromkeys(range(0x101, 0x101 + 3000 * 256, 256), "full")
    with Sim(rate=5) as sim, Stream(sim.api_key, sim.access_token, instruments, root=sim.root) as stream:
        while True:
            time.sleep(1)
            batch = stream.receive(10)
            if len(batch) > 2_000 and {tick.mode for tick in batch} == {"full"}:
                break
    print(f"a live batch of {len(batch):,} full ticks")
    tables = {
        "three columns, floats": batch.table(SOME, prices="float"),
        "all columns, floats": batch.table(prices="float"),
        "all columns": batch.table(),
    }
    compare({name: table.__arrow_c_array__ for name, table in tables.items()}, len(batch), 200)


def compare(ways, rows, rounds):
    taken = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            wall, cpu = time.perf_counter_ns(), time.process_time_ns()
            way()
            taken[name].append((time.perf_counter_ns() - wall, time.process_time_ns() - cpu))
    for name, times in taken.items():
        wall, cpu = (min(each) / rows for each in zip(*times, strict=True))
        print(f"{name:30} {wall:7.1f} ns per tick, {cpu:7.1f} of CPU")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    live()
    main(*sys.argv[1:])
