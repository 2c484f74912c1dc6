// The processes of `kite`, which end with the check.

const { spawn } = require("node:child_process");
const readline = require("node:readline");

/** A running `kite`, whose output is one JSON a line. */
exports.Kite = class Kite {
  static #running = new Set();
  #child;
  #lines = [];
  #waiting = [];
  #last = "";

  constructor(program, args, environment = {}) {
    const env = { ...process.env, ...environment };
    this.#child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    Kite.#running.add(this);
    readline.createInterface(this.#child.stdout).on("line", (line) => {
      this.#lines.push(line);
      this.#waiting.splice(0).forEach((resolve) => resolve());
    });
    this.#child.stderr.on("data", (data) => (this.#last = (this.#last + data).slice(-2000)));
    this.ended = new Promise((resolve) => this.#child.on("close", resolve));
    this.ended.then(() => Kite.#running.delete(this));
  }

  /** Returns the first line of output. */
  async first() {
    const ended = this.ended.then((code) => {
      throw new Error(`kite ended with ${code}: ${this.#last}`);
    });
    ended.catch(() => {});
    while (this.#lines.length === 0) {
      await Promise.race([ended, new Promise((resolve) => this.#waiting.push(resolve))]);
    }
    return JSON.parse(this.#lines[0]);
  }

  async stop(signal = "SIGTERM") {
    this.#child.kill(signal);
    await this.ended;
  }

  static async stopAll() {
    await Promise.all([...Kite.#running].map((kite) => kite.stop("SIGKILL")));
  }
};
