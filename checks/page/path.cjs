// A path between two programs that can be cut, so that connections are lost.

const net = require("node:net");

/**
 * Listens and passes bytes on to a server, until it is cut: connections are reset, and new ones end
 * without an answer, until it is restored.
 */
exports.Path = class Path {
  #open = new Set();
  #isCut = false;

  static async to(endpoint) {
    const { hostname, port } = new URL(endpoint);
    const path = new Path();
    const listener = net.createServer((client) => path.#join(client, { host: hostname, port: Number(port) }));
    await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
    path.endpoint = `ws://127.0.0.1:${listener.address().port}`;
    return path;
  }

  cut() {
    this.#isCut = true;
    for (const end of this.#open) end.resetAndDestroy();
  }

  restore() {
    this.#isCut = false;
  }

  #join(client, address) {
    if (this.#isCut) return client.destroy();
    const server = net.connect(address);
    for (const [one, other] of [[client, server], [server, client]]) {
      this.#open.add(one);
      one.on("error", () => {});
      one.on("close", () => {
        this.#open.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  }
};
