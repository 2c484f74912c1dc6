"""Assertions that print what was expected and what was found; comparisons of lists."""

from processes import Failed


def _short(value, limit=160):
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]} …"


def expect(what, found, expected):
    """Requires equality."""
    if found != expected:
        raise Failed(
            f"{what}:\n  expected {_short(expected, 4000)}\n  found    {_short(found, 4000)}"
        )
    print(f"  {what}: {_short(found)}")


def expect_that(what, found, expected, condition):
    """Requires a condition, `expected` in words."""
    if not condition:
        raise Failed(f"{what}:\n  expected {expected}\n  found    {_short(found, 4000)}")
    print(f"  {what}: {_short(found)}, {expected}")


def overlap(one, other, minimum):
    """Returns the number of elements in which two lists agree from the first common one to the end
    of the shorter of them, or 0 if there are fewer than the minimum."""
    for earlier, later in [(one, other), (other, one)]:
        for start in range(len(earlier) - minimum):
            length = min(len(earlier) - start, len(later))
            if earlier[start : start + length] == later[:length]:
                return length
    return 0
