// Build the page's parts. Whatever the daemon says becomes text, never markup.

import { ago, eventLine, expiry, progress, reason, size } from "./words.js";

const LOADED = new Set(["starting", "loading", "ready", "draining", "stopping"]);

// An element with a class and children; strings become text.
export function element(tag, look, ...children) {
  const made = document.createElement(tag);
  if (look) made.className = look;
  made.append(...children.filter((child) => child !== null).map(text));
  return made;
}

function text(child) {
  return typeof child === "object" ? child : document.createTextNode(String(child));
}

// A head stands over its figures: on the side where they do.
function table(header, rows) {
  const looks = [...rows[0].children].map((cell) => cell.className === "number" ? "number" : "");
  const head = element("thead", "", element("tr", "", ...header.map((name, at) => element("th", looks[at], name))));
  return element("table", "", head, element("tbody", "", ...rows));
}

// How much of the budget each loaded model takes.
export function memory(plan, running) {
  if (!plan) return [element("p", "soft", "no model, no figures")];
  const budget = plan.budget_bytes ?? plan.held_bytes;
  const parts = running.filter((model) => model.memory_bytes > 0);
  const bar = element("div", "bar", ...parts.map((model) => part(model.memory_bytes, `${model.id}: ${size(model.memory_bytes)}`)));
  const free = part(Math.max(0, budget - plan.held_bytes), "");
  free.className = "free";
  bar.append(free);
  const limit = plan.max_loaded ? `, at most ${plan.max_loaded} models` : "";
  const machine = plan.available_bytes === null ? "" : `; the machine could give ${size(plan.available_bytes)}`;
  return [bar, element("p", "soft", `${size(plan.held_bytes)} of ${size(budget)}${limit}${machine}`)];
}

function part(bytes, title) {
  const made = element("span", "");
  made.title = title;
  made.style.flexGrow = String(bytes);
  return made;
}

// Every model with its state, the loaded ones first; `act` is called with what a button asks for.
export function models(known, running, batches, now, act, busy) {
  const live = new Map(running.map((model) => [model.id, model]));
  const rows = known.map((entry) => ({ ...entry, ...live.get(entry.id) }));
  rows.push(...running.filter((model) => !known.some((entry) => entry.id === model.id)));
  rows.sort((a, b) => LOADED.has(b.state) - LOADED.has(a.state) || (a.id < b.id ? -1 : 1));
  const byId = new Map(batches.map((batch) => [batch.id, batch]));
  const header = ["Model", "Kind", "State", "Memory", "Rows", "Queued", "Tokens/s", "Unload", "Last used", ""];
  const lines = rows.map((model) => line(model, byId.get(model.id), now, act, busy));
  return rows.length ? table(header, lines) : element("p", "soft", "no models; `mlxctl pull NAME` gets one");
}

function line(model, batch, now, act, busy) {
  const loaded = LOADED.has(model.state);
  const rows = batch?.max_batch ? `${(batch.decode ?? 0) + (batch.prefill ?? 0)} of ${batch.max_batch}` : model.active_requests ?? "-";
  const speed = model.generation_tokens_per_second;
  const look = model.state === "ready" ? "good" : model.state === "backoff" ? "bad" : "";
  return element("tr", "",
    element("td", "name", model.id, model.error ? element("div", "bad", model.error) : null),
    element("td", "", model.kind),
    element("td", look, model.quarantined ? "quarantined" : model.state),
    element("td", "number", size(loaded ? model.memory_bytes : model.weights_bytes)),
    element("td", "number", loaded ? rows : "-"),
    element("td", "number", model.queued_requests ?? "-"),
    element("td", "number", speed ? speed.toFixed(1) : "-"),
    element("td", "", loaded ? expiry(model, now) : "-"),
    element("td", "", ago(model.last_used_at, now)),
    element("td", "", ...buttons(model, loaded).map(([label, wish]) => button(label, wish, act, busy.has(model.id)))));
}

// What can be done with a model in its state, as [label, path and body].
export function buttons(model, loaded) {
  const name = { model: model.id };
  if (model.state === "backoff") return [["Reset", { path: "v1/models/reset", body: name }]];
  if (!loaded) return [["Load", { path: "v1/models/load", body: name }]];
  const offered = [];
  if (model.state === "ready") {
    offered.push([model.pinned ? "Unpin" : "Pin", { path: "v1/models/load", body: { ...name, pin: !model.pinned } }]);
  }
  const force = model.state === "draining";
  const question = force ? `End the requests of ${model.id} that still run?` : null;
  if (model.state !== "stopping") {
    offered.push([force ? "Unload now" : "Unload", { path: "v1/models/unload", body: { ...name, force }, question }]);
  }
  return offered;
}

function button(label, wish, act, isBusy) {
  const made = element("button", "", label);
  made.type = "button";
  made.disabled = isBusy && !wish.body.force;
  made.dataset.wish = `${label} ${wish.body.model}`;
  made.addEventListener("click", () => act(wish));
  return made;
}

// Who waits for what, and how long already.
export function queue(entries) {
  const waiting = entries.filter((entry) => entry.waiting || entry.loading);
  if (!waiting.length) return element("p", "soft", "nobody waits");
  return table(["Model", "Waiting", "Longest", "Why"], waiting.map((entry) => element("tr", "",
    element("td", "name", entry.id),
    element("td", "number", entry.waiting),
    element("td", "number", `${entry.oldest_wait_seconds.toFixed(1)} s`),
    element("td", "", entry.waits_for ? reason(entry) : `loads${progress(entry)}`))));
}

export function event(entry) {
  const isBad = entry.event === "memory_short" || entry.event === "reload_refused" || entry.state === "backoff";
  return element("li", isBad ? "bad" : "", eventLine(entry));
}
