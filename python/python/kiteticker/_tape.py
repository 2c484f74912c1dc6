"""Recorded ticks: tables for any library that reads Arrow, gaps and frames."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, SupportsIndex

from ._arguments import shown, tokens_of
from ._native import Frames, Instrument, Instruments, Recording, TapeTable
from ._times import Moment, in_india, ranges

Path = str | os.PathLike[str]
Wanted = str | SupportsIndex | Instrument
Sessions = str | os.PathLike[str] | Iterable[str]
"""Rules of trading hours: their text, a file, or lines."""


@dataclass(frozen=True, slots=True)
class RecordedGap:
    """Frames that are missing in a recording. Times are in India's time zone."""

    recv_time: datetime
    """When it was noted."""
    account: int
    """The account that it concerns, counted from 0; 255 for the recorder."""
    connection: int
    """The connection within the account, counted from 0; 255 for the recorder."""
    reason: str
    """Why: "disconnected", "lagged", "queue_full" and so on, as docs/export.md lists them."""
    since: datetime | None
    """When it began, if that is known."""
    until: datetime | None
    """When it ended, if that is known."""
    frames: int | None
    """The number of missing frames, if it is known."""


class Tape:
    """Recorded ticks: tapes, or directories of them, as one recording.

        polars.DataFrame(Tape("tapes").ticks(["NSE:INFY"], start="09:15", end="15:30"))

    `instruments` names the instruments, as an Instruments or the path of Kite's CSV. Without it they
    have the names on the tapes, or of the cached list of their day, as with `kite export`.

    Raises OSError if a path is no tape or cannot be read. Parts of a recording that cannot be read are
    left out: a TapeWarning is issued, and `damage` of what was read describes them.
    """

    def __init__(
        self, paths: Path | Iterable[Path], instruments: Instruments | Path | None = None
    ) -> None:
        if isinstance(paths, str | os.PathLike):
            paths = [paths]
        if isinstance(instruments, str | os.PathLike):
            instruments = Instruments(instruments)
        self._recording = Recording(list(paths), instruments)

    def __repr__(self) -> str:
        return f"<Tape {', '.join(map(str, self.files))}>"

    @property
    def files(self) -> list[pathlib.Path]:
        """The files that are read."""
        return self._recording.files

    @property
    def start(self) -> datetime | None:
        """When the first record was received, in India's time zone; None if there is none."""
        return min((in_india(first) for first, _ in self._recording.spans), default=None)

    @property
    def end(self) -> datetime | None:
        """When the last record was received, in India's time zone; None if there is none."""
        return max((in_india(last) for _, last in self._recording.spans), default=None)

    def ticks(
        self,
        instruments: Wanted | Iterable[Wanted] | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        columns: str | Sequence[str] | None = None,
        *,
        prices: Literal["decimal", "float"] = "decimal",
        times: Literal["ns", "us"] = "ns",
        time_zone: Literal["utc", "ist"] = "utc",
    ) -> TapeTable:
        """Returns the table of ticks, with the columns and types of docs/export.md, one row for each
        tick in the order of the tape. It is read by what it is passed to: `polars.DataFrame(table)`,
        `pyarrow.table(table)`, DuckDB, pandas; each time from the start.

        Instruments are names such as "NSE:INFY", or tokens. `start` is included and `end` is not; both
        are times of each day ("09:15"), dates or moments, as in `kite export`, and India's if they
        have no time zone.

        Raises KeyError for an unknown name, and ValueError for an unknown column or a time at which
        nothing was recorded.
        """
        return self._recording.ticks(
            _wanted(instruments), self._ranges(start, end), columns, prices, times, time_zone
        )

    def candles(
        self,
        every: str | Sequence[str] = "1m",
        instruments: Wanted | Iterable[Wanted] | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        *,
        fill: bool = False,
        pre_open: bool = False,
        grace: float = 2.0,
        sessions: Sessions | None = None,
        prices: Literal["decimal", "float"] = "decimal",
    ) -> TapeTable:
        """Returns the table of bars, with the columns, rules and flags of docs/candles.md, as
        `kite candles` makes them; of several lengths ("1m", "1d") with a column `every`.

        The times choose bars, and do not change them. `fill` adds bars without trades at the previous
        close, and `pre_open` those before the session. `grace` is how many seconds a bar waits for
        late packets. `sessions` are hours that replace the usual ones, with the rules of docs/candles.md,
        one a line: a text ("all 09:00-23:30"), a list of lines, or a file as a pathlib.Path. "all" is
        Monday to Friday, unless the rule has a date.

        Raises as `ticks` does. If no bar was made, a TapeWarning is issued.
        """
        return self._recording.candles(
            _lengths(every),
            _wanted(instruments),
            self._ranges(start, end),
            fill,
            pre_open,
            grace,
            _rules(sessions),
            prices,
        )

    def events(
        self,
        start: Moment | None = None,
        end: Moment | None = None,
        *,
        times: Literal["ns", "us"] = "ns",
        time_zone: Literal["utc", "ist"] = "utc",
    ) -> TapeTable:
        """Returns the table of everything else on the tapes, with the columns of docs/export.md: gaps,
        silences, texts, notes, heartbeats and damage."""
        return self._recording.events(self._ranges(start, end), times, time_zone)

    def gaps(self, start: Moment | None = None, end: Moment | None = None) -> list[RecordedGap]:
        """Reads the gaps that overlap a time. Those that were noted more than ten minutes after `end`
        are not found."""
        return [
            RecordedGap(
                in_india(recv),
                account,
                connection,
                reason,
                None if since is None else in_india(since),
                None if until is None else in_india(until),
                frames,
            )
            for recv, account, connection, reason, since, until, frames in self._recording.gaps(
                self._ranges(start, end)
            )
        ]

    def frames(self, start: Moment | None = None, end: Moment | None = None) -> Frames:
        """Iterates over the binary frames, byte for byte as they were received, without heartbeats."""
        return self._recording.frames(self._ranges(start, end))

    def _ranges(self, start: Moment | None, end: Moment | None) -> list[tuple[int, int]] | None:
        return ranges(self._recording.spans, start, end)


def candles(
    tapes: Tape | Path | Iterable[Path],
    every: str | Sequence[str] = "1m",
    instruments: Wanted | Iterable[Wanted] | None = None,
    start: Moment | None = None,
    end: Moment | None = None,
    *,
    fill: bool = False,
    pre_open: bool = False,
    grace: float = 2.0,
    sessions: Sessions | None = None,
    prices: Literal["decimal", "float"] = "decimal",
) -> TapeTable:
    """Returns the table of bars of a Tape, or of tapes by their paths; see `Tape.candles`."""
    tape = tapes if isinstance(tapes, Tape) else Tape(tapes)
    return tape.candles(
        every,
        instruments,
        start,
        end,
        fill=fill,
        pre_open=pre_open,
        grace=grace,
        sessions=sessions,
        prices=prices,
    )


def _lengths(every: str | Sequence[str]) -> list[str]:
    lengths = [every] if isinstance(every, str) or not isinstance(every, Iterable) else list(every)
    for length in lengths:
        if not isinstance(length, str):
            raise TypeError(f'every is {shown(every)}; it must be such as "1m", or ["1m", "1d"]')
    if not lengths:
        raise ValueError('every is empty; it must be such as "1m", or ["1m", "1d"]')
    return lengths


def _wanted(instruments: Wanted | Iterable[Wanted] | None) -> list[str | int] | None:
    if instruments is None:
        return None
    if isinstance(instruments, str | Instrument | SupportsIndex):
        instruments = [instruments]
    elif not isinstance(instruments, Iterable):
        raise TypeError(f"instruments is {shown(instruments)}; it must be names or tokens")
    found: list[str | int] = []
    for one in instruments:
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, Instrument):
            found.append(one.instrument_token)
        else:
            found += tokens_of([one])
    return found


def _rules(sessions: Sessions | None) -> str | None:
    match sessions:
        case None | str():
            return sessions
        case os.PathLike():
            return pathlib.Path(sessions).read_text(encoding="utf-8")
    return "\n".join(sessions)
