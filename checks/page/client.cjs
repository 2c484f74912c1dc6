// A client of the relay that subscribes many instruments, and then reads or does not.

const crypto = require("node:crypto");
const net = require("node:net");

const TEXT = 0x81;
const MASKED = 0x80;

/** Returns a text frame of a client, masked as the protocol demands. */
function frame(text) {
  const payload = Buffer.from(text);
  const mask = crypto.randomBytes(4);
  const head = Buffer.alloc(4);
  head.writeUInt8(TEXT, 0);
  head.writeUInt8(MASKED | 126, 1);
  head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, mask, payload.map((byte, place) => byte ^ mask[place % 4])]);
}

exports.Client = class Client {
  #socket;

  /** Connects and subscribes in full mode. */
  static async connect(endpoint, { key, token }, instruments) {
    const { hostname, port, host } = new URL(endpoint);
    const client = new Client();
    const socket = net.connect({ host: hostname, port: Number(port) });
    client.#socket = socket;
    socket.on("error", () => {});
    socket.write(
      `GET /?api_key=${key}&access_token=${token} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\n` +
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
        `Sec-WebSocket-Key: ${crypto.randomBytes(16).toString("base64")}\r\n\r\n`,
    );
    const head = await new Promise((resolve) => socket.once("data", (data) => resolve(String(data))));
    if (!head.startsWith("HTTP/1.1 101")) throw new Error(`the relay answered ${head.split("\r\n")[0]}`);
    for (let from = 0; from < instruments.length; from += 500) {
      const tokens = instruments.slice(from, from + 500);
      socket.write(frame(JSON.stringify({ a: "subscribe", v: tokens })));
      socket.write(frame(JSON.stringify({ a: "mode", v: ["full", tokens] })));
    }
    socket.resume();
    return client;
  }

  /** Reads nothing more. */
  stall() {
    this.#socket.pause();
  }

  read() {
    this.#socket.resume();
  }

  end() {
    this.#socket.destroy();
  }
};
