"""Processes whose output is read by lines, and which end with the scenario that started them."""

import json
import os
import signal
import subprocess
import threading
import time

# Time for each step; generous, so that it expires only if something hangs.
PATIENCE_S = 90
# Time between two looks at a condition.
POLL_EVERY_S = 0.01


class Failed(Exception):
    """A scenario found something else than it expected."""


def wait_until(what, condition, *processes):
    """Waits until the condition holds, and fails if it does not in time or one of the processes
    that it depends on ends."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        ended = [it for it in processes if it.has_ended()]
        # The last lines may have been read since.
        if ended and not condition():
            raise Failed(f"waited for {what}; {ended[0].name} ended: {ended[0].last_words()}")
        if time.monotonic() > deadline:
            found = "; ".join(f"{it.name}: {it.last_words()}" for it in processes)
            raise Failed(f"waited {PATIENCE_S} s for {what}; {found}")
        time.sleep(POLL_EVERY_S)


class Process:
    """A running process; `lines` and `errors` are the lines that it has written so far."""

    def __init__(self, scenario, name, command, environment=()):
        self.name, self.lines, self.errors = name, [], []
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env={**clean_environment(), **dict(environment)},
        )
        self._readers = [
            threading.Thread(target=self._read, args=pair, daemon=True)
            for pair in [(self.process.stdout, self.lines), (self.process.stderr, self.errors)]
        ]
        for reader in self._readers:
            reader.start()
        scenario.callback(self.stop)

    def _read(self, stream, lines):
        for line in stream:
            lines.append(line.rstrip("\n"))

    def has_ended(self):
        """Returns whether the process has ended and all its lines are read."""
        is_read = not any(reader.is_alive() for reader in self._readers)
        return is_read and self.process.poll() is not None

    def last_words(self):
        return [line[:400] for line in self.lines[-2:] + self.errors[-4:]]

    def line(self, number):
        """Returns a line of the output, once it is there."""
        wait_until(f"line {number + 1} of {self.name}", lambda: len(self.lines) > number, self)
        return self.lines[number]

    def wait_for_line(self, text):
        """Waits for a line with this text on standard output or standard error."""

        def is_there():
            return any(text in line for line in self.lines + self.errors)

        wait_until(f"{text!r} of {self.name}", is_there, self)

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def kill(self):
        self.process.kill()

    def ended(self):
        """Waits for the end; returns the exit status."""
        wait_until(f"the end of {self.name}", self.has_ended)
        return self.process.returncode

    def stop(self):
        """Ends the process, if it runs."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for reader in self._readers:
            reader.join()


class Kite(Process):
    """A running `kite` command; `first`, `endpoint` and `last` are for those with --json."""

    binary = None

    def __init__(self, scenario, *arguments):
        command = [self.binary, *map(str, arguments)]
        super().__init__(scenario, f"kite {arguments[0]}", command, CREDENTIALS)

    def first(self):
        """Returns the first line, which a server prints when it is ready."""
        return json.loads(self.line(0))

    def endpoint(self):
        return self.first()["endpoint"]

    def last(self):
        """Returns the last line, which is the summary."""
        return json.loads(self.lines[-1])


CREDENTIALS = {"KITE_API_KEY": "sim_api_key", "KITE_ACCESS_TOKEN": "sim_access_token"}


def clean_environment():
    """Returns an environment without what the user has set for kite, and with times in UTC."""
    kept = {name: os.environ[name] for name in ["PATH", "NODE_PATH"] if name in os.environ}
    return {**kept, "HOME": "/dev/null/home", "LANG": "C.UTF-8", "TZ": "UTC"}


def kite_run(*arguments):
    """Runs a `kite` command to its end; returns status, output and errors."""
    done = subprocess.run(
        [Kite.binary, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        env=clean_environment(),
        timeout=PATIENCE_S,
    )
    return done.returncode, done.stdout, done.stderr
