"""Where a program sees something else than with the client that it was written for.

Each row of the table is a program that runs with both clients, the simulator's arguments, and what
it passes to `done` with theirs and with ours. Nothing else differs (test_equal.py).
"""

import pytest

SIM = ["sim", "--rate", 20]
SUBSCRIBE = """
calls = [("set_mode", "full", [408065, 256265])]
"""

# A proxy that keeps what the client sends on each connection.
PROXY = """
import json, socket, threading

connections = []

def proxied(root, sent):
    host, port = root.removeprefix("ws://").split(":")
    listener = socket.create_server(("127.0.0.1", 0))

    def copy(source, target, kept):
        while data := source.recv(65536):
            kept += data
            target.sendall(data)

    def serve():
        for kept in sent:
            client, server = listener.accept()[0], socket.create_connection((host, int(port)))
            connections.append((client, server))
            threading.Thread(target=copy, args=(client, server, kept), daemon=True).start()
            threading.Thread(target=copy, args=(server, client, bytearray()), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return f"ws://127.0.0.1:{listener.getsockname()[1]}"

def drop():
    for end in connections[0]:
        end.shutdown(socket.SHUT_RDWR)

def commands(sent):
    # Short text frames, masked, after the request.
    frames, found = bytes(sent).split(b"\\r\\n\\r\\n", 1)[1], []
    while frames:
        opcode, length = frames[0] & 15, frames[1] & 127
        mask, payload = frames[2:6], frames[6 : 6 + length]
        if opcode == 1:
            text = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
            found.append(json.loads(text)["a"])
        frames = frames[6 + length :]
    return found
"""

DIFFERENCES = {
    "an exception in on_ticks is logged, and the feed goes on": (
        SIM,
        SUBSCRIBE
        + """
kws = ticker(calls)
calls_of_ticks = []
def on_ticks(ws, ticks):
    calls_of_ticks.append(1)
    if len(calls_of_ticks) == 1:
        raise ZeroDivisionError("mine")
    done("went on")
kws.on_ticks = on_ticks
kws.on_close = lambda *_: done("lost")
kws.connect()
""",
        "lost",
        "went on",
    ),
    "a damaged frame costs its tail": (
        [*SIM, "--fault", ",".join(f"{second}s=lying_count" for second in range(1, 40))],
        SUBSCRIBE
        + """
import logging
class Handler(logging.Handler):
    def emit(self, record):
        note("damage")
logging.getLogger("kiteticker").addHandler(Handler())
kws = ticker(calls)
kws.on_close = lambda *_: done("lost")
kws.connect(threaded=True)
wait_for(lambda: "damage" in names() and names()[-1] == "ticks")
done("went on")
""",
        "lost",
        "went on",
    ),
    "reconnect=False is honoured": (
        [*SIM, "--fault", "handshake1=reset"],
        SUBSCRIBE
        + """
kws = ticker(calls, reconnect=False)
kws.connect(threaded=True)
wait_for(lambda: names().count("connect") == 2 or "noreconnect" in names())
done(names("connect", "close", "noreconnect"))
""",
        ["connect", "close", "connect"],
        ["connect", "close", "noreconnect"],
    ),
    "a refused token is not tried again, and the ticker goes on with another": (
        SIM,
        """
kws = ticker(access_token="expired", reconnect_max_delay=5)
kws.connect(threaded=True)
wait_for(lambda: "reconnect" in names() or "noreconnect" in names())
if "noreconnect" in names():
    kws.set_access_token(settings["access_token"])
    wait_for(lambda: "open" in names())
done(names("error", "close", "reconnect", "noreconnect", "open"))
""",
        ["error", "close", "error", "close", "reconnect"],
        ["error", "close", "noreconnect", "open"],
    ),
    "a connection that is lost soon after each handshake is tried less and less often": (
        [*SIM, "--fault", ",".join(f"handshake{number}=reset" for number in range(1, 6))],
        """
import time
kws = ticker()
times = []
kws.on_connect = lambda ws, response: (times.append(time.monotonic()), note("connect"))
kws.connect(threaded=True)
wait_for(lambda: names().count("connect") == 4)
# About 1 s, or 7.4 s.
done(times[3] - times[2] > 4)
""",
        False,
        True,
    ),
    "connect works again after stop": (
        SIM,
        """
def once():
    kws = ticker()
    kws.on_open = lambda ws: ws.stop()
    kws.connect()
try:
    once()
    once()
    done(names("connect"))
except Exception as error:
    done(type(error).__name__)
""",
        "ReactorNotRestartable",
        ["connect", "connect"],
    ),
    "stop ends one ticker": (
        SIM,
        SUBSCRIBE
        + """
first, second = ticker(calls), ticker(calls)
for kws in (first, second):
    kws.connect(threaded=True)
wait_for(lambda: names().count("open") == 2)
first.stop()
first.websocket_thread.join()
mark = len(events)
if second.is_connected():
    wait_for(lambda: len(events) > mark + 20)
done(second.is_connected())
""",
        False,
        True,
    ),
    "a subscribe before connect is kept": (
        SIM,
        """
kws = ticker()
try:
    kws.subscribe([408065])
    kws.connect(threaded=True)
    wait_for(lambda: "ticks" in names())
    done(kws.subscribed_tokens)
except AttributeError:
    done("AttributeError")
""",
        "AttributeError",
        {408065: "quote"},
    ),
    "any iterable of integers": (
        SIM,
        """
import numpy
kws = ticker()
kws.connect(threaded=True)
wait_for(lambda: "open" in names())
accepted = []
for tokens in (numpy.array([408065]), {256265}, (it for it in [738561])):
    try:
        accepted.append(kws.subscribe(tokens))
    except Exception:
        accepted.append(False)
done(accepted)
""",
        [False, False, False],
        [True, True, True],
    ),
    "a mode that does not exist and a token that is no integer raise": (
        SIM,
        """
kws = ticker()
kws.connect(threaded=True)
wait_for(lambda: "open" in names())
found = []
for call in (lambda: kws.set_mode("best", [408065]), lambda: kws.subscribe(["408065"])):
    try:
        found.append(call())
    except (TypeError, ValueError) as error:
        found.append(type(error).__name__)
done(found)
""",
        [True, True],
        ["ValueError", "TypeError"],
    ),
    "an access token that is no text is not sent": (
        SIM,
        """
kws = ticker(access_token=None)
try:
    kws.connect(threaded=True)
    wait_for(lambda: names("error"))
    done("refused")
except TypeError as error:
    done(str(error))
""",
        "refused",
        "access_token is of type NoneType; it must be a str",
    ),
    "sys.exit() in a callback leaves connect()": (
        SIM,
        """
import sys
kws = ticker()
kws.on_close = lambda *_: note("close")
def on_open(ws):
    note("open")
    if names().count("open") == 2:
        done("connected again")
    sys.exit(3)
kws.on_open = on_open
try:
    kws.connect()
except SystemExit as error:
    done((error.code, names("open", "close")))
""",
        "connected again",
        (3, ["open", "close"]),
    ),
    "a subscribe does not lower a mode": (
        SIM,
        """
kws = ticker([("subscribe", [408065]), ("set_mode", "full", [408065]), ("subscribe", [408065])])
kws.connect(threaded=True)
wait_for(lambda: "open" in names())
done(kws.subscribed_tokens)
""",
        {408065: "quote"},
        {408065: "full"},
    ),
    "after a reconnect no tick is leaner than asked for": (
        [*SIM, "--fault", "handshake1=reset"],
        """
kws = ticker([("subscribe", [408065]), ("set_mode", "full", [408065])])
kws.connect(threaded=True)
wait_for(lambda: names().count("connect") == 2 and names()[-1] == "ticks")
second = len(events) - names()[::-1].index("connect")
done([event[1][0]["mode"] for event in events[second:] if event[0] == "ticks"][0])
""",
        "quote",
        "full",
    ),
    "one subscribe after a reconnect": (
        SIM,
        PROXY
        + """
sent = [bytearray(), bytearray()]
kws = ticker([("subscribe", [408065])], root=proxied(settings["root"], sent))
kws.connect(threaded=True)
wait_for(lambda: names().count("ticks") >= 1)
drop()
wait_for(lambda: names().count("open") == 2 and names()[-1] == "ticks")
done([command for command in commands(sent[1]) if command == "subscribe"])
""",
        ["subscribe", "subscribe"],
        ["subscribe"],
    ),
    "close and stop_retry before connect": (
        SIM,
        """
kws = ticker()
failed = []
for method in (kws.close, kws.stop_retry):
    try:
        method()
    except AttributeError:
        failed.append(method.__name__)
done(failed)
""",
        ["close", "stop_retry"],
        [],
    ),
    "on_noreconnect comes with debug=True": (
        SIM,
        """
import threading
kws = ticker(root="ws://127.0.0.1:1", debug=True, reconnect_max_tries=1)
kws.on_noreconnect = lambda ws: done("on_noreconnect")
kws.connect(threaded=True)
wait_for(lambda: "reconnect" in names())
threading.Event().wait(0.5)
done("nothing")
""",
        "nothing",
        "on_noreconnect",
    ),
    "certificates are verified": (
        None,
        """
import datetime, socket, ssl, tempfile, threading
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

key = ec.generate_private_key(ec.SECP256R1())
name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
now = datetime.datetime.now(datetime.timezone.utc)
certificate = x509.CertificateBuilder(name, name, key.public_key(), 7, now, now + datetime.timedelta(1))
certificate = certificate.sign(key, hashes.SHA256())
with tempfile.NamedTemporaryFile(suffix=".pem", delete=False) as pem:
    pem.write(certificate.public_bytes(serialization.Encoding.PEM))
    pem.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                serialization.NoEncryption()))
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(pem.name)
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    while True:
        connection, _ = listener.accept()
        try:
            with context.wrap_socket(connection, server_side=True) as secure:
                if b"access_token=s3cret" in secure.recv(4096):
                    done("token sent")
        except OSError:
            pass
threading.Thread(target=serve, daemon=True).start()
kws = ticker(root=f"wss://127.0.0.1:{listener.getsockname()[1]}", access_token="s3cret")
kws.on_error = lambda ws, code, reason: done("refused")
kws.connect()
""",
        "token sent",
        "refused",
    ),
    "a server that goes mute is noticed within 20 s": (
        [*SIM, "--fault", "handshake1=half_open:60s"],
        SUBSCRIBE
        + """
kws = ticker(calls)
kws.on_error = lambda *_: note("error")
kws.on_close = lambda *_: done("noticed")
kws.connect(threaded=True)
wait_for(lambda: "open" in names())
import threading
threading.Event().wait(25)
done("not noticed")
""",
        "not noticed",
        "noticed",
    ),
    "the token is in no attribute that is printed": (
        SIM,
        """
kws = ticker(access_token="s3cret")
done("s3cret" in str(vars(kws)) + repr(kws))
""",
        True,
        False,
    ),
    "a ticker is not pickled, with its token": (
        SIM,
        """
import pickle
try:
    done(b"s3cret" in pickle.dumps(KiteTicker("key", "s3cret")))
except TypeError:
    done("TypeError")
""",
        True,
        "TypeError",
    ),
    "9,000 instruments over three sockets": (
        ["sim", "--rate", 0.01],
        """
kws = ticker([("subscribe", range(256, 256 * 9001, 256))])
seen = set()
def on_ticks(ws, ticks):
    seen.update(tick["instrument_token"] for tick in ticks)
    if len(seen) == 9000:
        done(len(ws.subscribed_tokens))
kws.on_ticks = on_ticks
kws.on_error = lambda ws, code, reason: done("limit")
kws.connect()
""",
        "limit",
        9000,
    ),
    "Ctrl-C works again after connect() has returned": (
        SIM,
        """
import os, signal, threading, time
kws = ticker()
kws.on_open = lambda ws: threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
kws.connect()
try:
    os.kill(os.getpid(), signal.SIGINT)
    # A signal is handled before the next statement.
    done("ignored")
except KeyboardInterrupt:
    done("KeyboardInterrupt")
""",
        "ignored",
        "KeyboardInterrupt",
    ),
    "a handler of SIGTERM that the program has set is called": (
        SIM,
        """
import os, signal, threading
signal.signal(signal.SIGTERM, lambda *_: done("called"))
kws = ticker()
kws.on_open = lambda ws: threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
kws.connect()
done("replaced")
""",
        "replaced",
        "called",
    ),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_difference_is_as_described(name, serve, program):
    arguments, source, theirs, ours = DIFFERENCES[name]
    found = [
        program(package, source, serve(*arguments) if arguments else None)
        for package in ("kiteconnect", "kiteticker")
    ]
    assert [it.result() for it in found] == [theirs, ours]
