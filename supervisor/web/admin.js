// Keep the page up to date: ask now and then, follow the events, send what the buttons ask for.

import { Api, KeyNeeded, Refused } from "./api.js";
import * as view from "./view.js";
import { size } from "./words.js";

const BUSY_MS = 2000, IDLE_MS = 6000;
const HELD_MS = 1500;
const EVENTS = 100;
const api = new Api((path, options) => fetch(path, options), sessionStorage);
const busy = new Set();
const at = (id) => document.getElementById(id);
let round = null, following = null, seq = 0;
let era = 0; // counts the keys: what an earlier one asked for is not shown any more
let pressed = 0; // when: a button that is replaced between press and release is never clicked

// A part that this key may not see says so; anything else that goes wrong is everybody's.
async function allowed(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof Refused && error.status === 403) return error;
    throw error;
  }
}

async function look(own) {
  const [known, ps, batch, queue] = await Promise.all([
    api.get("v1/models"), api.get("v1/ps"), allowed(api.get("v1/batch/stats")), allowed(api.get("v1/queue/stats")),
  ]);
  const first = known.data.find((entry) => !entry.error);
  const plan = first ? await allowed(api.post("v1/models/plan", { model: first.id })) : null;
  if (own !== era) return false;
  const batches = batch instanceof Refused ? [] : batch.models;
  at("memory").replaceChildren(...(plan instanceof Refused ? [lacking(plan)] : view.memory(plan, ps.models)));
  if (Date.now() - pressed > HELD_MS) showModels(known.data, ps.models, batches);
  at("queue").replaceChildren(queue instanceof Refused ? lacking(queue) : view.queue(queue.models));
  return ps.models.some((model) => model.active_requests || model.queued_requests || model.state !== "ready");
}

// Replace the table and leave the keyboard where it was.
function showModels(known, running, batches) {
  const focused = document.activeElement?.dataset?.wish;
  at("models").replaceChildren(view.models(known, running, batches, Date.now() / 1000, act, busy));
  if (!focused) return;
  for (const button of at("models").querySelectorAll("button")) {
    if (button.dataset.wish === focused) button.focus();
  }
}

function lacking(refused) {
  return view.element("p", "soft", refused.message);
}

async function act(wish) {
  if (wish.question && !confirm(wish.question)) return;
  const model = wish.body.model;
  busy.add(model);
  say(`${model}: asked`);
  try {
    say(outcome(await api.post(wish.path, wish.body)));
  } catch (error) {
    say(error.message, "bad");
  } finally {
    busy.delete(model);
    again();
  }
}

function outcome(answer) {
  if ("freed_bytes" in answer) return `${answer.model}: gone, ${size(answer.freed_bytes)} are free again`;
  if ("was_in_backoff" in answer) return `${answer.model}: its failures are forgotten`;
  return `${answer.model}: ${answer.state}`;
}

function say(text, look = "") {
  at("message").textContent = text;
  at("message").className = look;
}

function status(text, look) {
  if (at("status").textContent === text) return; // else it would be read out again and again
  at("status").textContent = text;
  at("status").className = look;
}

// Look, and look again after a while; a daemon that is away is waited for.
async function again() {
  clearTimeout(round);
  round = null;
  if (document.hidden) return;
  const own = era;
  let isBusy = true;
  try {
    isBusy = await look(own);
    if (own !== era) return;
    unlock();
    status("running", "good");
  } catch (error) {
    if (own !== era) return;
    if (error instanceof KeyNeeded) return lock(error);
    status(error instanceof Refused ? error.message : "no answer from the daemon; trying again", "bad");
  }
  clearTimeout(round);
  round = setTimeout(again, isBusy ? BUSY_MS : IDLE_MS);
}

function unlock() {
  at("login").hidden = true;
  at("main").hidden = false;
  at("forget").hidden = !api.key;
  if (!following) follow();
}

function lock(error) {
  const why = api.key ? error.message : "";
  leave();
  at("refused").textContent = why;
  status("locked", "");
}

// Forget the key and all that was shown with it.
function leave() {
  era += 1;
  api.key = null;
  clearTimeout(round);
  following?.abort();
  following = null;
  seq = 0;
  at("refused").textContent = "";
  say("");
  for (const id of ["memory", "models", "queue", "events"]) at(id).replaceChildren();
  at("main").hidden = true;
  at("forget").hidden = true;
  at("login").hidden = false;
  at("key").focus();
}

// Follow the events until the key is forgotten; after a break go on behind the last one seen.
async function follow() {
  const own = following = new AbortController();
  while (!own.signal.aborted) {
    try {
      await api.events(EVENTS, seq, show, own.signal);
      at("events-state").textContent = "";
    } catch (error) {
      if (own.signal.aborted) return;
      if (error instanceof KeyNeeded) return again(); // finds the same, and says so
      if (error instanceof Refused && error.status === 403) {
        at("events-state").textContent = error.message;
        return;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, BUSY_MS));
  }
}

function show(entry) {
  seq = entry.seq;
  const list = at("events");
  list.prepend(view.event(entry));
  if (entry.event === "worker_moved") soon();
  while (list.children.length > EVENTS) list.lastElementChild.remove();
}

// What happened shows at once, and once where much happens together.
function soon() {
  if (!round) return;
  clearTimeout(round);
  round = setTimeout(again, 100);
}

at("login").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = at("key").value.trim();
  at("key").value = "";
  if (!/^[\x21-\x7e]+$/.test(key)) {
    at("refused").textContent = "a key has letters, digits and signs of ASCII only";
    return;
  }
  era += 1;
  api.key = key;
  again();
});
at("models").addEventListener("pointerdown", () => { pressed = Date.now(); });
for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => { pressed = 0; });
at("forget").addEventListener("click", leave);
document.addEventListener("visibilitychange", again);
again();
