"""Decodes packets from NATS by the layout of docs/protocol.md alone, and prints them as JSON lines.

    consumer.py URL TICKS

Ends after TICKS packets. The first line is printed once the subscription is known to the server.
"""

import asyncio
import json
import struct
import sys

import nats

DIVISORS = {3: 10_000_000, 6: 10_000, 12: 10_000}


def depth(packet, at):
    entries = []
    for entry in range(5):
        quantity, price, orders = struct.unpack_from(">IiH", packet, at + 12 * entry)
        entries.append({"quantity": quantity, "price": price, "orders": orders})
    return entries


def numbers(names, layout, packet, at):
    return dict(zip(names.split(), struct.unpack_from(">" + layout, packet, at)))


def fields(packet):
    if len(packet) == 8:
        return "ltp"
    if len(packet) in (28, 32):
        quote = numbers("high low open close change", "5i", packet, 8)
        if len(packet) == 28:
            return {"index_quote": quote}
        return {"index_full": {"quote": quote} | numbers("exchange_timestamp", "I", packet, 28)}
    assert len(packet) in (44, 184), len(packet)
    names = "last_quantity average_price volume total_buy_quantity total_sell_quantity open high low close"
    quote = numbers(names, "IiIIIiiii", packet, 8)
    if len(packet) == 44:
        return {"quote": quote}
    names = "last_trade_timestamp open_interest open_interest_high open_interest_low exchange_timestamp"
    full = numbers(names, "5I", packet, 44)
    return {"full": {"quote": quote, "full": full | {"bids": depth(packet, 64), "asks": depth(packet, 124)}}}


def decoded(packet):
    return numbers("instrument_token last_price", "Ii", packet, 0) | {"fields": fields(packet)}


async def main(url, ticks):
    client = await nats.connect(url)
    subscription = await client.subscribe("kite.*.tick.>", pending_msgs_limit=1_000_000)
    await client.flush()
    print(json.dumps({"ready": True}), flush=True)
    for _ in range(ticks):
        message = await subscription.next_msg(timeout=30)
        prefix, account, kind, segment, token = message.subject.split(".")
        tick = decoded(message.data)
        assert (prefix, kind, token) == ("kite", "tick", str(tick["instrument_token"])), message.subject
        rupees = tick["last_price"] / DIVISORS.get(tick["instrument_token"] & 0xFF, 100)
        place = {name: int(message.headers[name]) for name in ("Kite-Connection", "Kite-Tick")}
        print(json.dumps({"account": account, "segment": segment, "tick": tick, "rupees": rupees} | place))
    await client.close()


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
