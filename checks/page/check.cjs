// What the page of `kite serve` shows in Chromium, while the feed, a client, the disk, NATS and the
// server have faults.

const fs = require("node:fs");
const path = require("node:path");
const { chromium } = require("playwright-core");
const { Client } = require("./client.cjs");
const { Nats } = require("./nats.cjs");
const { Path } = require("./path.cjs");
const { Kite } = require("./processes.cjs");

const [program, executablePath, work, screenshots] = process.argv.slice(2);
// Generous, so that it expires only if something hangs.
const PATIENCE_MS = 30_000;
const DISK = path.join(work, "disk");
const SIZES = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 900 } };
const ACCOUNT = { KITE_API_KEY: "sim_api_key", KITE_ACCESS_TOKEN: "sim_access_token" };
const NAMES = ["NSE:INFY", "NSE:RELIANCE", "NSE:SBIN", "NSE:TCS", "NSE:NIFTY 50"];
const CLIENT = { key: "dashboard", token: "secretofdashboard" };
const SECRET = "the-token-of-the-page-0123456789";
// Instruments of the client that stalls: enough for its queue to fill in seconds.
const MANY = Array.from({ length: 3000 }, (_, number) => ((number + 1) << 8) | 1);

function write(name, text) {
  const file = path.join(work, name);
  fs.writeFileSync(file, text, { mode: 0o600 });
  return file;
}

function serve(endpoint, http, ...more) {
  const client = write("client.credentials", `api_key = ${CLIENT.key}\naccess_token = ${CLIENT.token}\n`);
  const args = ["serve", "--json", "--endpoint", endpoint, "--relay", "127.0.0.1:0", "--http", http];
  args.push("--connections", "2", "--linger", "1s", "--record", path.join(DISK, "tapes"), `--client=dashboard=${client}`);
  return new Kite(program, [...args, ...more, ...NAMES], ACCOUNT);
}

/** Waits until a function that runs in the page returns a true value. */
async function until(page, what, holds, ...args) {
  try {
    return await page.waitForFunction(holds, args, { timeout: PATIENCE_MS, polling: 50 });
  } catch {
    const text = await page.evaluate(() => document.body.innerText).catch(String);
    throw new Error(`waited ${PATIENCE_MS / 1000} s for ${what}; the page shows:\n${text}`);
  }
}

// Without a difference between spaces that break and those that do not.
const has = (page, selector, text) =>
  until(page, `${JSON.stringify(text)} in ${selector}`, ([selector, text]) => {
    const found = [...document.querySelectorAll(selector)].filter((it) => it.checkVisibility());
    return found.some((it) => it.innerText.replaceAll("\u00a0", " ").includes(text));
  }, selector, text);

const lacks = (page, selector, text) =>
  until(page, `no ${JSON.stringify(text)} in ${selector}`, ([selector, text]) => {
    const found = [...document.querySelectorAll(selector)].filter((it) => it.checkVisibility());
    return !found.some((it) => it.innerText.replaceAll("\u00a0", " ").includes(text));
  }, selector, text);

function expect(what, found, wanted) {
  if (JSON.stringify(found) !== JSON.stringify(wanted)) {
    throw new Error(`${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
  }
}

/** Opens the page. Fails later if it reports an error or asks another server. */
async function open(browser, endpoint, options, faults) {
  const context = await browser.newContext({ viewport: SIZES.desktop, ...options });
  const page = await context.newPage();
  page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // Chromium reports each request that fails, which some here have to.
    const isFailed = message.text().startsWith("Failed to load resource");
    if (message.type() === "error" && !isFailed) faults.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(endpoint)) faults.push(`request: ${request.url()}`);
  });
  await page.goto(endpoint);
  return page;
}

const text = (page, selector) => page.locator(selector).first().innerText();

const steps = {
  async "the state is shown, and prices move"({ page }) {
    await has(page, "#level", "live");
    await has(page, "#connections tbody tr", "live");
    await has(page, "#clients tbody tr", "not connected");
    await has(page, "#recorder", "writing");
    await has(page, "#prices [data-part=place]", "1 to 5 of 5");
    await until(page, "two charts with lines", () => document.querySelectorAll(".chart .line[d*=L]").length >= 2);
    const first = await text(page, "#prices td.last");
    await until(page, "another price", ([first]) => document.querySelector("#prices td.last").innerText !== first, first);
  },

  async "a filter and a depth work by keyboard"({ page }) {
    await page.focus("#filter");
    await page.keyboard.type("nse infy");
    await has(page, "#prices [data-part=place]", "1 to 1 of 1 found of 5");
    await page.keyboard.press("Tab");
    await until(page, "the focus on a name", () => document.activeElement.classList.contains("name"));
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    expect("outline of the focus", outline, "solid");
    await page.keyboard.press("Enter");
    await until(page, "five levels", () => document.querySelectorAll(".depth tbody tr").length === 5);
    await has(page, ".panel .facts", "Average");
    await page.keyboard.press("Enter");
    await lacks(page, "#prices", "Average");
    await page.fill("#filter", "absent");
    await has(page, "#prices [data-part=place]", "None of 5 instruments has this in its name.");
    await page.fill("#filter", "");
    await has(page, "#prices [data-part=place]", "1 to 5 of 5");
  },

  async "a cut connection is down, says why, and comes back"({ page, line }) {
    line.cut();
    await has(page, "#level", "down");
    await has(page, "#problems", " down: ");
    await has(page, "#connections", " failed");
    await until(page, "a reason", () => document.querySelector("#connections td.why").innerText.length > 10);
    await has(page, "#incidents li.error", "lost:");
    expect("title", (await page.title()).startsWith("down"), true);
    line.restore();
    await has(page, "#level", "live");
    await has(page, "#incidents li", "up again");
    await has(page, "#incidents li", "gap:");
    await until(page, "a reconnect", () => {
      const cells = [...document.querySelectorAll("#connections tbody td")];
      return Number(cells.find((it) => it.dataset.label === "Reconnects").innerText) >= 1;
    });
    await until(page, "nothing to attend to", () => document.getElementById("problems").hidden);
  },

  async "connections with the same fault are one sentence"({ page }) {
    const texts = await page.evaluate(async () => {
      const { problems } = await import(`${location.origin}/state.js`);
      const down = (connection, phase) => ({ account: null, connection, phase, why: "refused" });
      const connections = [down(0, "waiting"), down(1, "opening"), down(2, "waiting"), down(3, "parked")];
      return problems({ connections, dark: 0, relay: null, recorder: null, nats: null });
    });
    expect("sentences", texts, ["Connections 1 to 3 are down: refused.", "Connection 4 is parked: refused."]);
  },

  async "a client that stalls is slow until it reads"({ page, relay }) {
    const client = await Client.connect(relay, CLIENT, MANY);
    await has(page, "#clients tbody tr", "reading");
    await has(page, "#summary", "1 client");
    client.stall();
    await has(page, "#clients tbody tr", "slow, conflated");
    await has(page, "#problems", "Client dashboard reads too slowly.");
    client.read();
    await has(page, "#clients tbody tr", "reading");
    await lacks(page, "#problems", "dashboard");
    client.end();
    await has(page, "#clients tbody tr", "not connected");
  },

  async "a full disk is reported until there is room"({ page }) {
    if (fs.statfsSync(DISK).blocks * fs.statfsSync(DISK).bsize > 64_000_000) {
      return console.log("   skipped: the disk is not a small one");
    }
    const filler = path.join(DISK, "filler");
    const file = fs.openSync(filler, "w");
    try {
      for (;;) fs.writeSync(file, Buffer.alloc(4096));
    } catch (error) {
      expect("what ends the filling", error.code, "ENOSPC");
    }
    await has(page, "#recorder .facts", "failing");
    await has(page, "#recorder", "No space left on device");
    await has(page, "#problems", "The recorder cannot write");
    await has(page, "#level", "degraded");
    fs.closeSync(file);
    fs.rmSync(filler);
    await has(page, "#recorder .facts", "writing");
    await has(page, "#level", "live");
    const lost = await page.evaluate(() => {
      const pairs = [...document.querySelectorAll("#recorder .facts > div")];
      return pairs.find((it) => it.innerText.startsWith("Frames lost")).lastChild.innerText;
    });
    expect("whether frames were lost", lost !== "0", true);
  },

  async "NATS is away until it is back"({ page, nats }) {
    await has(page, "#nats", "connected");
    await until(page, "ticks published", () => /published\s+[1-9]/.test(document.getElementById("nats").innerText));
    await lacks(page, "#problems", "NATS");
    nats.away();
    await has(page, "#nats", "not connected");
    await has(page, "#problems", "NATS is not connected");
    await has(page, "#level", "degraded");
    await nats.back();
    await lacks(page, "#nats", "not connected");
    await has(page, "#level", "live");
    await until(page, "a socket lost", () => /lost\s+1$/m.test(document.getElementById("nats").innerText));
  },

  async "the page looks right on a phone and a large screen, light and dark"({ browser, endpoint, faults }) {
    fs.mkdirSync(screenshots, { recursive: true });
    for (const [name, viewport] of Object.entries(SIZES)) {
      for (const colorScheme of ["light", "dark"]) {
        const page = await open(browser, endpoint, { viewport, colorScheme, reducedMotion: "reduce" }, faults);
        await page.locator("#prices .name", { hasText: "NSE:INFY" }).click();
        await until(page, "five levels", () => document.querySelectorAll(".depth tbody tr").length === 5);
        const wide = await page.evaluate(() => {
          const right = (it) => it.getBoundingClientRect().right;
          const isWide = (it) => right(it) > right(it.closest(".card, .chart") ?? document.body) + 1;
          const seen = [...document.querySelectorAll("body *")].filter((it) => !it.closest(".unseen, .stack thead"));
          return seen.filter(isWide).map((it) => `${it.tagName} ${it.className}`);
        });
        expect(`what is wider than its part of the ${name}`, wide, []);
        await page.screenshot({ path: path.join(screenshots, `${name}-${colorScheme}.png`), fullPage: true });
        await page.context().close();
      }
    }
  },

  async "the end of the server is shown, and the page comes back by itself"(check) {
    const { page, endpoint, line } = check;
    await check.kite.stop();
    await has(page, "#lost", "Connection to the server lost");
    await has(page, "#lost", "ago:");
    await has(page, "#level", "no connection");
    expect("opacity", await page.evaluate(() => getComputedStyle(document.querySelector("main")).opacity), "0.55");
    await page.screenshot({ path: path.join(screenshots, "lost.png") });
    check.kite = serve(line.endpoint, new URL(endpoint).host);
    await has(page, "#level", "live");
    await lacks(page, "#lost", "lost");
  },

  async "a token is asked for, refused if it is wrong, and stands in no URL"(check) {
    const { browser, line, faults } = check;
    await check.kite.stop();
    const file = write("page.token", `${SECRET}\n`);
    check.kite = serve(line.endpoint, "127.0.0.1:0", "--http-token-file", file);
    const endpoint = (await check.kite.first()).http.endpoint;
    const page = await open(browser, endpoint, {}, faults);
    const urls = [];
    page.on("request", (request) => urls.push(request.url()));
    await has(page, "#token", "Token");
    await page.screenshot({ path: path.join(screenshots, "token.png") });
    await page.fill("#token-value", "a-wrong-token-0123456789");
    await page.keyboard.press("Enter");
    await has(page, "#token", "The server refuses this token.");
    await page.fill("#token-value", SECRET);
    await page.click("#token button");
    await has(page, "#level", "live");
    await page.reload();
    await has(page, "#level", "live");
    expect("URLs with the token", urls.filter((url) => url.includes(SECRET)), []);
    expect("cookies", await page.context().cookies(), []);
    await check.kite.stop();
    await has(page, "#level", "no connection");
    const other = write("other.token", `${SECRET}-of-today\n`);
    check.kite = serve(line.endpoint, new URL(endpoint).host, "--http-token-file", other);
    await has(page, "#token", "The server refuses this token.");
    await has(page, "#level", "token needed");
    await lacks(page, "#lost", "lost");
    await page.fill("#token-value", `${SECRET}-of-today`);
    await page.keyboard.press("Enter");
    await has(page, "#level", "live");
    const shown = await page.content();
    const secrets = [SECRET, CLIENT.token, ACCOUNT.KITE_ACCESS_TOKEN];
    expect("secrets in the page", secrets.filter((it) => shown.includes(it)), []);
  },
};

async function main() {
  const sim = new Kite(program, ["sim", "--json", "--port", "0", "--rate", "4", "--for", "10m"]);
  const line = await Path.to((await sim.first()).endpoint);
  const nats = await Nats.start();
  const kite = serve(line.endpoint, "127.0.0.1:0", "--nats", nats.url);
  const { relay, http } = await kite.first();
  const faults = [];
  const args = ["--headless", "--no-sandbox", "--disable-background-networking"];
  const browser = await chromium.launch({ executablePath, args });
  const page = await open(browser, http.endpoint, {}, faults);
  const check = { browser, endpoint: http.endpoint, faults, kite, line, nats, page, relay: relay.endpoint };
  for (const [name, step] of Object.entries(steps)) {
    const since = Date.now();
    await step(check);
    expect(`faults while ${name}`, faults, []);
    console.log(`passed ${name}: ${((Date.now() - since) / 1000).toFixed(1)} s`);
  }
  await browser.close();
}

main()
  .then(() => 0)
  .catch((error) => {
    console.error(error.message);
    return 1;
  })
  .then(async (code) => {
    await Kite.stopAll();
    process.exit(code);
  });
