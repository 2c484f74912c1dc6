// As much of a NATS server as a publisher needs, which can go away and come back.

const net = require("node:net");

const INFO = JSON.stringify({ server_id: "check", version: "2.15.1", proto: 1, headers: true, max_payload: 1_048_576 });

exports.Nats = class Nats {
  #sockets = new Set();
  #listener;
  #port = 0;

  static async start() {
    const nats = new Nats();
    await nats.back();
    return nats;
  }

  get url() {
    return `nats://127.0.0.1:${this.#port}`;
  }

  /** Ends all sockets, and accepts no more. */
  away() {
    this.#listener.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Listens, where it listened before. */
  async back() {
    this.#listener = net.createServer((socket) => this.#serve(socket));
    await new Promise((resolve) => this.#listener.listen(this.#port, "127.0.0.1", resolve));
    this.#port = this.#listener.address().port;
  }

  #serve(socket) {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#sockets.delete(socket));
    const subscribed = new Map();
    let rest = Buffer.alloc(0);
    socket.on("data", (data) => {
      rest = Buffer.concat([rest, data]);
      for (let end; (end = rest.indexOf("\r\n")) >= 0; ) {
        const [name, ...words] = rest.toString("latin1", 0, end).split(" ");
        const isPublished = name === "PUB" || name === "HPUB";
        const from = end + 2;
        const size = isPublished ? Number(words.at(-1)) + 2 : 0;
        if (rest.length < from + size) return;
        const payload = rest.subarray(from, from + size);
        rest = rest.subarray(from + size);
        if (name === "PING") socket.write("PONG\r\n");
        if (name === "SUB") subscribed.set(words[0], words.at(-1));
        // Without headers are only the messages by which a publisher confirms those before.
        if (name === "PUB" && subscribed.has(words[0])) {
          socket.write(`MSG ${words[0]} ${subscribed.get(words[0])} ${size - 2}\r\n`);
          socket.write(payload);
        }
      }
    });
    socket.write(`INFO ${INFO}\r\n`);
  }
};
