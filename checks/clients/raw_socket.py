"""A WebSocket client without a library, which reads only when it is asked to."""

import base64
import json
import os
import socket
import struct

from processes import PATIENCE_S


class RawSocket:
    """A connection that subscribes tokens in full mode and then reads nothing by itself."""

    def __init__(self, endpoint, tokens):
        host, port = endpoint.removeprefix("ws://").split(":")
        self.socket = socket.create_connection((host, int(port)), PATIENCE_S)
        self.address = "{}:{}".format(*self.socket.getsockname())
        key = base64.b64encode(os.urandom(16)).decode()
        request = (
            "GET /?api_key=sim_api_key&access_token=sim_access_token HTTP/1.1\r\n"
            f"Host: {host}:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        )
        self.socket.sendall(request.encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._exactly(1)
        assert head.startswith(b"HTTP/1.1 101 "), head
        command = json.dumps({"a": "mode", "v": ["full", tokens]}).encode()
        assert len(command) < 126, "one byte of length"
        # A mask of zeros changes nothing.
        self.socket.sendall(bytes([0x81, 0x80 | len(command), 0, 0, 0, 0]) + command)

    def read_ticks(self):
        """Reads up to the end of the first frame of ticks."""
        while True:
            first, length = self._exactly(2)
            if length == 126:
                length = int.from_bytes(self._exactly(2), "big")
            payload = self._exactly(length)
            if first == 0x82 and len(payload) > 2:
                return

    def reset(self):
        """Ends the connection with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _exactly(self, length):
        data = b""
        while len(data) < length:
            part = self.socket.recv(length - len(data))
            assert part, "the server ended the connection"
            data += part
        return data
