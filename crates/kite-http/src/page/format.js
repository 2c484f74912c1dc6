// Numbers and times as texts: grouped thousands, India's time, short durations.

const IST_OFFSET_MS = 19_800_000;

/** 1234567 → "1,234,567". */
export function grouped(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** "100123.05" → "100,123.05", "865025000.0000000" → the same with at most the decimals needed. */
export function price(text) {
  const [whole, fraction] = text.split(".");
  const sign = whole.startsWith("-") ? "-" : "";
  const decimals = fraction === undefined ? "" : "." + trimmed(fraction);
  return sign + grouped(whole.slice(sign.length)) + decimals;
}

// No tick size needs more than four decimals.
function trimmed(fraction) {
  return fraction.length > 4 ? fraction.slice(0, 4) + fraction.slice(4).replace(/0+$/, "") : fraction;
}

/** The same, with a plus sign. */
export function signed(text) {
  return (/^-|^0*\.?0*$/.test(text) ? "" : "+") + price(text);
}

/** 1.2345 → "+1.23%". */
export function percent(number) {
  const rounded = number.toFixed(2).replace(/^-(0\.00)$/, "$1");
  return (Number(rounded) > 0 ? "+" : "") + rounded + "%";
}

/** 1234567 → "1.23M". */
export function compact(number) {
  return scaled(number, 1000, ["", "K", "M", "B", "T"], "");
}

/** 1234567 → "1.23 MB". */
export function bytes(number) {
  return scaled(number, 1000, ["B", "kB", "MB", "GB", "TB"], " ");
}

function scaled(number, step, units, gap) {
  let [value, place] = [number, 0];
  // 999.5 would be rounded to 1000.
  while (value >= 999.5 && place < units.length - 1) {
    value /= step;
    place += 1;
  }
  const text = place === 0 ? String(Math.round(value)) : value.toPrecision(3);
  return text + (units[place] ? gap + units[place] : "");
}

/** Seconds → "0 s", "59 s", "3 min", "2 h 5 min", "9 d 3 h". */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours % 24 ? `${Math.floor(hours / 24)} d ${hours % 24} h` : `${hours / 24} d`;
}

/** Milliseconds since the Unix epoch → "09:15:23", in India. */
export function clock(ms) {
  return new Date(ms + IST_OFFSET_MS).toISOString().slice(11, 19);
}

/** Milliseconds since the Unix epoch → "2026-11-23", in India. */
export function day(ms) {
  return new Date(ms + IST_OFFSET_MS).toISOString().slice(0, 10);
}

/** (2, "client") → "2 clients". */
export function counted(number, noun) {
  return `${grouped(number)} ${noun}${number === 1 ? "" : "s"}`;
}
