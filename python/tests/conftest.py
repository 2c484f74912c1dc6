"""Simulators and clients, each in another process, which ends with its test.

The environment's KITE is the built command.
"""

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
KITE = os.environ.get("KITE", str(HERE.parents[1] / "target/debug/kite"))
# Generous, so that it expires only if something hangs.
PATIENCE_S = 60


def pytest_addoption(parser):
    parser.addoption("--all-faults", action="store_true", help="compare under every fault")


class Server:
    """A running `kite sim` or `kite replay`."""

    def __init__(self, *arguments):
        command = [KITE, *map(str, arguments), "--json"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        first = json.loads(self.process.stdout.readline())
        self.root = first["endpoint"]
        # A replay has one account.
        account = first.get("accounts", [first])[0]
        self.api_key, self.access_token = account["api_key"], account["access_token"]

    def ended(self):
        """Ends the server; returns what it printed last."""
        self.process.send_signal(signal.SIGINT)
        out, _ = self.process.communicate(timeout=PATIENCE_S)
        return json.loads(out.splitlines()[-1])

    def stop(self):
        self.process.kill()
        self.process.communicate()


class Program:
    """A Python program in another process; `result` is what it passed to `done`."""

    def __init__(self, package, source, server, **settings):
        self.out = Path(tempfile.mkstemp(suffix=".pickle")[1])
        settings = {
            "package": package,
            "out": str(self.out),
            "root": server.root if server else "ws://127.0.0.1:1",
            "api_key": server.api_key if server else "key",
            "access_token": server.access_token if server else "token",
            **settings,
        }
        # Ours must also be clean where Python checks most.
        checks = ["-X", "dev", "-W", "error"] if package == "kiteticker" else []
        self.process = subprocess.Popen(
            [sys.executable, "-B", *checks, str(HERE / "program.py"), json.dumps(settings), source],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for_line(self, line):
        for found in self.process.stdout:
            if found.strip() == line:
                return
        raise AssertionError(f"never printed {line!r}: {self.process.stderr.read()}")

    def result(self):
        try:
            _, errors = self.process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, errors = self.process.communicate()
            raise AssertionError(f"hangs: {errors[-2000:]}") from None
        written = self.out.read_bytes()
        assert written, f"ended with {self.process.returncode}: {errors[-2000:]}"
        return pickle.loads(written)

    def stop(self):
        self.process.kill()
        self.process.communicate()
        self.out.unlink(missing_ok=True)


def pack(tapes, *options):
    """Packs tapes; returns the summary."""
    line = [KITE, "pack", tapes, "--json", *options]
    done = subprocess.run(line, check=True, capture_output=True, timeout=PATIENCE_S)
    return json.loads(done.stdout)


@pytest.fixture
def stack():
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def serve(stack):
    """Starts servers: `serve("sim", "--rate", 20)`."""

    def start(*arguments):
        server = Server(*arguments)
        stack.callback(server.stop)
        return server

    return start


@pytest.fixture
def program(stack):
    """Starts programs: `program("kiteticker", source, server)`."""

    def start(package, source, server=None, **settings):
        started = Program(package, source, server, **settings)
        stack.callback(started.stop)
        return started

    return start
