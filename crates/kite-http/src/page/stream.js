// The server's event stream: read by fetch, because an EventSource cannot send a token, and opened
// again by itself when it ends.

// The server sends a status each second. A path that is dead without an error shows by its silence.
const SILENT_MS = 10_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8_000;
// Much more than the largest event.
const LONGEST_EVENT = 4_000_000;

/**
 * Follows the stream for as long as the page is open. `on` has the handlers: `event(name, data)`,
 * `lost(reason, pauseMs)`, and `refused(isSecond)`, which resolves to a token.
 */
export class Stream {
  #address;
  #on;
  #token;
  #attempt = null;
  #wake = () => {};

  constructor(address, token, on) {
    this.#address = address;
    this.#token = token;
    this.#on = on;
    setInterval(() => this.#checkSilence(), 1000);
    addEventListener("online", () => this.#wake());
    document.addEventListener("visibilitychange", () => this.#wake());
  }

  /** Opens the stream again, because the page wants something else from it. */
  reopen() {
    this.#attempt?.abort("reopened");
    this.#wake();
  }

  async follow() {
    let pause = FIRST_PAUSE_MS;
    for (;;) {
      const attempt = { controller: new AbortController(), reason: null, last: performance.now() };
      attempt.abort = (reason) => {
        attempt.reason ??= reason;
        attempt.controller.abort();
      };
      this.#attempt = attempt;
      let reason;
      try {
        reason = await this.#read(attempt, () => (pause = FIRST_PAUSE_MS));
      } catch (error) {
        reason = error instanceof TypeError ? "the server cannot be reached" : error.message;
      }
      this.#attempt = null;
      reason = attempt.reason ?? reason;
      if (reason === "reopened") continue;
      if (reason === "token") {
        this.#token = await this.#on.refused(this.#token !== null);
        continue;
      }
      this.#on.lost(reason, pause);
      await this.#sleep(pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    }
  }

  /** Reads one stream to its end. Returns why it ended. */
  async #read(attempt, onEvent) {
    const headers = { Accept: "text/event-stream" };
    if (this.#token) headers.Authorization = `Bearer ${this.#token}`;
    const signal = attempt.controller.signal;
    const response = await fetch(this.#address(), { headers, signal, cache: "no-store" });
    if (response.status === 401) return "token";
    if (!response.ok) {
      const text = (await response.text()).slice(0, 200).trim();
      return `the server answered ${response.status}${text ? `: ${text}` : ""}`;
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return "the server ended the stream";
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      if (rest.length > LONGEST_EVENT) return "the server sent too long an event";
      for (const event of events) {
        // Opened again meanwhile: this is of what the page no longer shows.
        if (attempt.reason) return attempt.reason;
        attempt.last = performance.now();
        onEvent();
        this.#dispatch(event);
      }
    }
  }

  #dispatch(text) {
    const fields = text.split("\n").map((line) => /^(event|data): (.*)$/s.exec(line));
    const named = Object.fromEntries(fields.filter(Boolean).map((it) => [it[1], it[2]]));
    if (named.event && named.data) this.#on.event(named.event, JSON.parse(named.data));
  }

  #checkSilence() {
    const attempt = this.#attempt;
    if (attempt && performance.now() - attempt.last > SILENT_MS) {
      attempt.abort(`nothing was received for ${SILENT_MS / 1000} s`);
    }
  }

  #sleep(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
