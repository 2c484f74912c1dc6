"""Packets as numpy sees them: the types for `numpy.frombuffer` over the runs of a batch.

Each item has the length of the packet before it, and integers as on the wire: prices in the smallest
unit of the segment, times in seconds, 0 if absent.
"""

import numpy as np

_HEAD = [("length", ">u2"), ("instrument_token", ">u4"), ("last_price", ">i4")]
_QUOTE = [
    *_HEAD,
    ("last_quantity", ">u4"),
    ("average_price", ">i4"),
    ("volume", ">u4"),
    ("total_buy_quantity", ">u4"),
    ("total_sell_quantity", ">u4"),
    ("open", ">i4"),
    ("high", ">i4"),
    ("low", ">i4"),
    ("close", ">i4"),
]
_INDEX_QUOTE = [*_HEAD, ("high", ">i4"), ("low", ">i4"), ("open", ">i4"), ("close", ">i4"), ("change", ">i4")]

_LEVEL_DTYPE = np.dtype([("quantity", ">u4"), ("price", ">i4"), ("orders", ">u2"), ("padding", "V2")])
LTP_DTYPE = np.dtype(_HEAD)
QUOTE_DTYPE = np.dtype(_QUOTE)
FULL_DTYPE = np.dtype(
    [
        *_QUOTE,
        ("last_trade_time", ">u4"),
        ("oi", ">u4"),
        ("oi_day_high", ">u4"),
        ("oi_day_low", ">u4"),
        ("exchange_time", ">u4"),
        ("bids", _LEVEL_DTYPE, (5,)),
        ("asks", _LEVEL_DTYPE, (5,)),
    ]
)
INDEX_QUOTE_DTYPE = np.dtype(_INDEX_QUOTE)
INDEX_FULL_DTYPE = np.dtype([*_INDEX_QUOTE, ("exchange_time", ">u4")])
