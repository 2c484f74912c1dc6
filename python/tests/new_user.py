"""What a new user does first, where this package is the only one installed; see check.sh."""

import importlib.util

import kiteticker
from kiteticker import KiteTicker, Sim

for name in ("kiteconnect", "numpy", "pyarrow", "pytest"):
    assert importlib.util.find_spec(name) is None, name

try:
    kiteticker.install()
    raise AssertionError("there is nothing to replace")
except ImportError as error:
    assert error.name == "kiteconnect"

received = []
with Sim(rate=20) as sim:
    kws = KiteTicker(sim.api_key, sim.access_token, root=sim.root)
    kws.on_ticks = lambda ws, ticks: (received.extend(ticks), ws.stop())
    kws.on_connect = lambda ws, response: ws.set_mode(ws.MODE_FULL, [256265, 408065])
    kws.connect()
assert received[0]["instrument_token"] in (256265, 408065)
