// Ask the daemon. The key is kept for this tab only, and leaves it in a header, never in an address.

const KEPT = "mlxd-key";

export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

// The daemon wants a key, or another one.
export class KeyNeeded extends Refused {}

export class Api {
  constructor(ask, kept) {
    this.ask = ask;
    this.kept = kept;
  }

  get key() {
    return this.kept.getItem(KEPT);
  }

  set key(key) {
    if (key) this.kept.setItem(KEPT, key);
    else this.kept.removeItem(KEPT);
  }

  get(path, signal) {
    return this.send(path, { signal }).then((response) => response.json());
  }

  post(path, body) {
    const headers = { "content-type": "application/json" };
    return this.send(path, { method: "POST", headers, body: JSON.stringify(body) }).then((response) => response.json());
  }

  // Hand each event after `seq` to `take`, until the stream ends; `last` is how many of the past come first.
  async events(last, seq, take, signal) {
    const query = seq ? `after=${seq}` : `last=${last}`;
    const response = await this.send(`v1/events?${query}`, { signal });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const frames = (rest + value).split("\n\n");
      rest = frames.pop();
      for (const frame of frames) {
        const data = frame.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
        if (data.length) take(JSON.parse(data.join("\n")));
      }
    }
  }

  async send(path, options) {
    const headers = { accept: "application/json", ...options.headers };
    if (this.key) headers.authorization = `Bearer ${this.key}`;
    const response = await this.ask(path, { ...options, headers, cache: "no-store", credentials: "omit" });
    if (response.ok) return response;
    const error = (await response.json().catch(() => ({}))).error ?? {};
    const Kind = response.status === 401 ? KeyNeeded : Refused;
    throw new Kind(response.status, error.code ?? "", error.message ?? `HTTP ${response.status}`);
  }
}
