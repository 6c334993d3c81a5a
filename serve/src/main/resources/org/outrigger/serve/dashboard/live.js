// The stream of snapshots, read with fetch so that a token can go with it.

const KEY = "outrigger-token";
const QUIET = 15000;

function stored() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

let token = stored();

export function setToken(value) {
  token = value;
  try {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
  } catch {
    // It then lasts as long as the page.
  }
}

/** Fetches with the token, if there is one. */
export function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  return fetch(path, { ...options, headers, cache: "no-store", credentials: "same-origin" });
}

/** What a failed answer says. */
export async function reason(response) {
  try {
    return (await response.json()).error ?? `Status ${response.status}`;
  } catch {
    return `Status ${response.status}`;
  }
}

/**
 * Keeps a stream open, and opens it again when it breaks, with growing pauses.
 * `on` has snapshot(value), state(name, text) and unauthorized(message).
 */
export class Live {
  constructor(on) {
    this.on = on;
    this.failures = 0;
    this.controller = null;
    this.timer = 0;
  }

  /** Opens the stream for what is to be shown, instead of what was. */
  open(query) {
    this.close();
    this.query = query;
    this.failures = 0;
    this.run();
  }

  close() {
    clearTimeout(this.timer);
    this.controller?.abort();
    this.controller = null;
  }

  async run() {
    const controller = new AbortController();
    this.controller = controller;
    let quiet = 0;
    const watch = () => {
      clearTimeout(quiet);
      quiet = setTimeout(() => controller.abort(), QUIET);
    };
    let said = "The connection was lost";
    try {
      watch();
      const response = await ask(`api/dashboard/stream?${this.query}`, {
        headers: { Accept: "text/event-stream" },
        signal: controller.signal,
      });
      if (response.status === 401) {
        this.on.unauthorized(token ? "The server does not know this token." : "");
        return;
      }
      if (!response.ok) {
        said = await reason(response);
        throw new Error(said);
      }
      await this.read(response.body.getReader(), watch);
    } catch {
      // A broken stream is opened again below; one that was closed on purpose is not.
    } finally {
      clearTimeout(quiet);
    }
    if (this.controller === controller) this.again(said);
  }

  async read(reader, watch) {
    const decoder = new TextDecoder();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      watch();
      text += decoder.decode(value, { stream: true });
      let end = text.indexOf("\n\n");
      while (end >= 0) {
        this.take(text.slice(0, end));
        text = text.slice(end + 2);
        end = text.indexOf("\n\n");
      }
    }
  }

  take(event) {
    const data = event.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim());
    if (data.length === 0) return;
    this.failures = 0;
    this.on.state("live", "Live");
    this.on.snapshot(JSON.parse(data.join("\n")));
  }

  again(said) {
    this.failures += 1;
    const pause = Math.min(15000, 500 * 2 ** Math.min(this.failures, 5));
    this.on.state("lost", `${said}; trying again`);
    this.timer = setTimeout(() => this.run(), pause);
  }
}
