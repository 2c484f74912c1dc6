"""A path between two programs that can be cut, for losses that only one connection has."""

import socket
import struct
import threading


class Path:
    """Listens and passes bytes on to a server, until it is cut: connections are reset, and new ones
    end without an answer, until it is restored."""

    def __init__(self, scenario, endpoint):
        host, port = endpoint.removeprefix("ws://").split(":")
        self._server = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock, self._open, self._is_cut = threading.Lock(), [], False
        self.endpoint = f"ws://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        scenario.callback(self._end)

    def cut(self):
        with self._lock:
            self._is_cut = True
            ends, self._open = self._open, []
        for end in ends:
            _reset(end)

    def restore(self):
        with self._lock:
            self._is_cut = False

    def _end(self):
        _close(self._listener)
        self.cut()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._is_cut:
                    client.close()
                    continue
                server = socket.create_connection(self._server)
                self._open += [client, server]
            for pair in [(client, server), (server, client)]:
                threading.Thread(target=_pass_on, args=pair, daemon=True).start()


def _pass_on(one, other):
    """Passes on what one end sends, to the end of its stream."""
    try:
        while data := one.recv(65_536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        # The path was cut, or an end has reset its connection.
        _reset(one)
        _reset(other)


def _reset(end):
    try:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        return
    _close(end)


def _close(end):
    """Closes a socket, also if another thread waits for it."""
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    end.close()
