"""A WebSocket client without a library, which reads only when it is asked to."""

import base64
import json
import os
import socket
import struct

from collectors import KEY, TOKEN
from processes import PATIENCE_S


class RawSocket:
    """A connection that subscribes tokens in full mode and then reads nothing by itself."""

    def __init__(self, endpoint, tokens, key=KEY, token=TOKEN, receive_buffer=None):
        host, port = endpoint.removeprefix("ws://").split(":")
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect((host, int(port)))
        self.address = "{}:{}".format(*self.socket.getsockname())
        nonce = base64.b64encode(os.urandom(16)).decode()
        request = (
            f"GET /?api_key={key}&access_token={token} HTTP/1.1\r\n"
            f"Host: {host}:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {nonce}\r\n\r\n"
        )
        self.socket.sendall(request.encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._exactly(1)
        assert head.startswith(b"HTTP/1.1 101 "), head
        self.send("mode", ["full", tokens])

    def send(self, action, value):
        """Sends a command."""
        command = json.dumps({"a": action, "v": value}).encode()
        length = len(command)
        size = bytes([0x80 | length]) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
        # A mask of zeros changes nothing.
        self.socket.sendall(b"\x81" + size + bytes(4) + command)

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
