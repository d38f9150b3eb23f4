// Put numbers and answers of the daemon into words. Nothing here touches the page.

const SIZES = ["KB", "MB", "GB", "TB"];
const SPANS = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];

// Bytes in decimal units, as `mlxctl` writes them.
export function size(bytes) {
  if (!Number.isFinite(bytes)) return "-";
  let value = bytes, unit = "B";
  for (const next of SIZES) {
    if (Math.abs(value) < (unit === "B" ? 1000 : 999.95)) break;
    value /= 1000;
    unit = next;
  }
  return `${value.toFixed(unit === "B" ? 0 : 1)} ${unit}`;
}

// Seconds in at most two units.
export function span(seconds) {
  let left = Math.max(0, Math.floor(seconds));
  const parts = [];
  for (const [unit, length] of SPANS) {
    if (left >= length) parts.push(`${Math.floor(left / length)}${unit}`);
    left %= length;
  }
  return parts.slice(0, 2).join("") || "0s";
}

export function ago(at, now) {
  return at === null || at === undefined ? "-" : `${span(now - at)} ago`;
}

// How long a model stays loaded if nobody uses it.
export function expiry(model, now) {
  if (model.pinned) return "pinned";
  if (model.expires_at === null || model.expires_at === undefined) {
    return model.state === "ready" && !model.active_requests ? "never" : "-";
  }
  return `in ${span(model.expires_at - now)}`;
}

// Why the requests of a model wait, from an entry of the queue's statistics.
export function reason(entry) {
  const wait = entry.waits_for;
  const behind = wait?.behind?.length ? ` behind ${wait.behind.join(", ")}` : "";
  switch (wait?.cause) {
    case "loading": return `loads${progress(entry)}`;
    case "leaving": return "its last process is not gone yet";
    case "memory": return `needs ${size(wait.bytes_short)} more, place ${wait.position} of ${wait.of}${behind}`;
    case "slots": return `needs a place, ${wait.position} of ${wait.of}${behind}`;
    case "turn": return `is next, place ${wait.position} of ${wait.of}${behind}`;
    default: return "-";
  }
}

export function progress(entry) {
  const loading = entry.loading;
  if (!loading?.bytes_total) return "";
  const share = Math.min(100, Math.floor((100 * loading.bytes_read) / loading.bytes_total));
  const eta = Number.isFinite(entry.eta_seconds) ? `, ${span(entry.eta_seconds)} to go` : "";
  return ` ${share} %${eta}`;
}

const SHOWN = new Set(["event", "seq", "at", "model", "cause", "reason"]);

// One event as one line: when, what, whose, the rest, and why.
export function eventLine(entry) {
  const at = new Date(1000 * entry.at).toLocaleTimeString();
  const words = [at, String(entry.event)];
  if (entry.model) words.push(String(entry.model));
  for (const [name, value] of Object.entries(entry)) {
    if (!SHOWN.has(name) && value !== null) words.push(field(name, value));
  }
  if (entry.cause) words.push(`- ${String(entry.cause).split(/\s+/).join(" ")}`);
  return words.join(" ");
}

function field(name, value) {
  if (name.endsWith("_bytes") && Number.isFinite(value)) return `${name.slice(0, -6)}=${size(value)}`;
  return `${name}=${Array.isArray(value) ? value.join(",") || "none" : value}`;
}
