"""Measures reading a tape into polars, beside reading the same rows from Parquet.

    python python/benches/tape.py KITE [TAPES]    # without TAPES: a minute of the simulator

Needs this package built for release (`pip install ./python`), `polars` and the built command KITE.
The Parquet file is written by `kite export` first; the frames are compared. Reading is repeated in
alternating rounds, of which the fastest counts; the files are in the page cache.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars as pl

from kiteticker import Tape

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
    taken = {name: [] for name in ways}
    assert ways["all columns, tape"]().equals(ways["all columns, Parquet"]())
    rows = len(ways["three columns, tape"]())
    size, parquet = sum(path.stat().st_size for path in tape.files), file.stat().st_size
    print(f"{rows:,} ticks; {size / rows:.0f} bytes each on the tape, {parquet / rows:.0f} in Parquet")
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter_ns()
            way()
            taken[name].append((time.perf_counter_ns() - start) / rows)
    for name, rounds in taken.items():
        print(f"{name:30} {min(rounds):7.1f} ns per tick, median {sorted(rounds)[ROUNDS // 2]:7.1f}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
