// A guest that tells what its WASI gives it, as documents of its source: what a connector in JavaScript sees of time and chance. For tests alone.

import { entry, bytesOf, error } from "./sdk/credenza.js";

class Session {
  info() {
    return { identity: "inert://probe", namespace: "flat", traits: ["ordered-scan"] };
  }

  now() {
    return null;
  }

  check() {
    return [];
  }

  scan() {
    return new Scanner();
  }

  read() {
    throw error("not-found", "inert.nothing", "there is nothing");
  }

  describe(entries) {
    return entries.map(() => ({ tag: "ok", val: [] }));
  }

  documents() {
    const document = (name, text) => ({ name, content: { tag: "ok", val: `${text}` } });
    return [
      document("now", Date.now()),
      document("random", [Math.random(), Math.random()]),
    ];
  }
}

class Scanner {
  next() {
    return { found: [{ tag: "entry", val: entry(bytesOf("empty"), "directory") }], more: false };
  }
}

export const lifecycle = { validate: () => [] };

export const source = {
  open: () => new Session(),
  Session,
  Scanner,
  Reader: class Reader {
    read() {
      throw error("unsupported", "inert.reader", "there is nothing");
    }
  },
};
