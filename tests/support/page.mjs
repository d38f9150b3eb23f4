// Run the page of operators without a browser: as little of a document as its scripts need, steered by lines of JSON.
// Usage: node page.mjs FOLDER URL

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [folder, url] = process.argv.slice(2);
const made = new Set();
const asked = [];
let focused = null;

class Text {
  constructor(text) { this.textContent = String(text); }
}

class Element {
  constructor(tag) {
    made.add(tag);
    Object.assign(this, { tag, nodes: [], heard: {}, dataset: {}, style: {}, hidden: false, disabled: false, value: "" });
  }
  get children() { return this.nodes.filter((node) => node instanceof Element); }
  get lastElementChild() { return this.children.at(-1); }
  get textContent() { return this.nodes.map((node) => node.textContent).join(" "); }
  set textContent(text) { this.replaceChildren(new Text(text)); }
  set innerHTML(markup) { throw new Error("markup"); }
  append(...nodes) { this.nodes.push(...this.adopt(nodes)); }
  prepend(...nodes) { this.nodes.unshift(...this.adopt(nodes)); }
  replaceChildren(...nodes) { this.nodes = this.adopt(nodes); }
  remove() { this.parent.nodes = this.parent.nodes.filter((node) => node !== this); }
  adopt(nodes) {
    const found = nodes.map((node) => (typeof node === "string" ? new Text(node) : node));
    for (const node of found) node.parent = this;
    return found;
  }
  focus() { focused = this; }
  addEventListener(name, listener) { this.heard[name] = listener; }
  dispatch(name) { this.heard[name]?.({ preventDefault() {} }); }
  querySelectorAll(tag) { return this.children.flatMap((child) => [...(child.tag === tag ? [child] : []), ...child.querySelectorAll(tag)]); }
}

const html = readFileSync(`${folder}/index.html`, "utf8");
const byId = new Map();
for (const [, tag, id, rest] of html.matchAll(/<(\w+) id="([\w-]+)"([^>]*)>/g)) {
  const element = new Element(tag);
  element.hidden = / hidden\b/.test(rest);
  byId.set(id, element);
}
made.clear();

const kept = new Map();
globalThis.document = {
  hidden: false,
  get activeElement() { return focused; },
  createElement: (tag) => new Element(tag),
  createTextNode: (text) => new Text(text),
  getElementById: (id) => byId.get(id) ?? null,
  addEventListener() {},
};
globalThis.sessionStorage = {
  getItem: (name) => kept.get(name) ?? null,
  setItem: (name, value) => kept.set(name, value),
  removeItem: (name) => kept.delete(name),
};
globalThis.confirm = () => true;
const send = globalThis.fetch;
globalThis.fetch = (path, options) => {
  asked.push([options.method ?? "GET", path, options.headers?.authorization ?? null]);
  return send(new URL(path, `${url}/`), options);
};

const deeds = {
  show() {},
  click({ label }) {
    const all = [...byId.values()].flatMap((element) => element.querySelectorAll("button"));
    const found = byId.get(label) ?? all.find((button) => button.textContent === label && !button.disabled);
    if (!found) throw new Error(`no button ${label}`);
    found.dispatch("click");
  },
  unlock({ key }) {
    byId.get("key").value = key;
    byId.get("login").dispatch("submit");
  },
};

function seen() {
  const parts = Object.fromEntries([...byId].map(([id, element]) => [id, element.textContent]));
  const hidden = [...byId].filter(([, element]) => element.hidden).map(([id]) => id);
  const buttons = byId.get("models").querySelectorAll("button").filter((button) => !button.disabled).map((button) => button.textContent);
  const events = byId.get("events").children.map((child) => child.textContent);
  return { parts, hidden, buttons, events, tags: [...made], asked, kept: Object.fromEntries(kept) };
}

process.on("unhandledRejection", (error) => { console.error(error); process.exit(1); });
await import(pathToFileURL(`${folder}/admin.js`));
createInterface({ input: process.stdin }).on("line", (line) => {
  const { deed, ...rest } = JSON.parse(line);
  deeds[deed](rest);
  console.log(JSON.stringify(seen()));
}).on("close", () => process.exit(0));
