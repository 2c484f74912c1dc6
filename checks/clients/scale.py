"""How much the scenarios of `kite serve` do."""

large = False


def scaled(small, when_large):
    """Returns the second value in a run with --large."""
    return when_large if large else small
