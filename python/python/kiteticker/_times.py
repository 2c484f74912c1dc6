"""Times as programs write them, as ranges of nanoseconds since the Unix epoch."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone

INDIA = timezone(timedelta(hours=5, minutes=30), "Asia/Kolkata")
Moment = str | datetime | date | time
"""A time: `"09:15"` of each day, `"2026-11-23"` (its midnight), `"2026-11-23T09:15"`, or an object of
the module datetime. What has no time zone is India's."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_LATEST = 2**64 - 1
_CLOCK = re.compile(r"(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?")


def ranges(
    spans: list[tuple[int, int]], start: Moment | None, end: Moment | None
) -> list[tuple[int, int]] | None:
    """Returns the ranges from `start` to `end` on the days of these spans, the end excluded; None for
    everything. Raises ValueError if none has a record."""
    if start is None and end is None:
        return None
    first, last = _parsed(start, "start"), _parsed(end, "end")
    for kind in (int, time):
        if isinstance(first, kind) and isinstance(last, kind) and first >= last:  # type: ignore[operator]
            raise ValueError(f"start {start} is not before end {end}")
    found = []
    for day in sorted({day for span in spans for day in _days(*span)}):
        begin = _of_day(day, first) if isinstance(first, time) else _midnight(day)
        stop = _of_day(day, last) if isinstance(last, time) else _midnight(day + _DAY)
        if isinstance(first, int):
            begin = max(begin, first)
        if isinstance(last, int):
            stop = min(stop, last)
        if begin < stop:
            found.append((begin, stop))
    if not any(a < stop and begin <= b for begin, stop in found for a, b in spans):
        raise ValueError(
            f"nothing is left between {_shown(start, 'the start of the tapes')} and "
            f"{_shown(end, 'the end of the tapes')}; {_held(spans)}"
        )
    return found


def in_india(unix_ns: int) -> datetime:
    """Returns a time in India's time zone, in whole microseconds."""
    return (_EPOCH + timedelta(microseconds=unix_ns // 1000)).astimezone(INDIA)


def _parsed(moment: Moment | None, name: str) -> int | time | None:
    match moment:
        case None:
            return None
        case datetime():
            aware = moment if moment.tzinfo else moment.replace(tzinfo=INDIA)
            return _unix_ns(aware)
        case date():
            return _midnight(moment)
        case time():
            if moment.tzinfo is not None:
                raise ValueError(f"{name} is {moment!r}; a time of day is India's and has no time zone")
            return moment
        case str():
            return _read(moment.strip(), name)
    raise TypeError(f"{name} is {moment!r}; it must be a str, datetime, date or time")


def _read(text: str, name: str) -> int | time:
    wrong = ValueError(
        f"{name} is {text!r}; it must be such as 09:15, 2026-11-23 or 2026-11-23T09:15 (in India), or "
        "2026-11-23T03:45:00Z"
    )
    if _CLOCK.fullmatch(text):
        try:
            return time.fromisoformat(text)
        except ValueError:
            raise wrong from None
    if not re.match(r"\d{4}-\d\d-\d\d", text):
        raise wrong
    # A datetime has microseconds; what is finer is added afterwards.
    fraction = re.search(r"\.(\d{7,9})(?=$|[Zz+-])", text)
    rest = int(fraction[1].ljust(9, "0")[6:]) if fraction else 0
    if fraction:
        text = text[: fraction.start()] + "." + fraction[1][:6] + text[fraction.end() :]
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise wrong from None
    return _unix_ns(found if found.tzinfo else found.replace(tzinfo=INDIA)) + rest


def _unix_ns(aware: datetime) -> int:
    return min(max((aware - _EPOCH) // _MICROSECOND * 1000, 0), _LATEST)


def _midnight(day: date) -> int:
    return _unix_ns(datetime(day.year, day.month, day.day, tzinfo=INDIA))


def _of_day(day: date, clock: time) -> int:
    return _unix_ns(datetime.combine(day, clock, INDIA))


def _days(first: int, last: int) -> list[date]:
    day, end = in_india(first).date(), in_india(last).date()
    return [day + timedelta(days=number) for number in range((end - day).days + 1)]


def _shown(moment: Moment | None, otherwise: str) -> str:
    return otherwise if moment is None else str(moment)


def _held(spans: list[tuple[int, int]]) -> str:
    if not spans:
        return "the tapes hold no records"
    first, last = min(span[0] for span in spans), max(span[1] for span in spans)
    return f"the tapes hold {in_india(first):%Y-%m-%d %H:%M:%S} to {in_india(last):%Y-%m-%d %H:%M:%S}"
