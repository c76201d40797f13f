// The connector to copy: a source of files at an HTTP address. `index.json` there lists them: [{ "key": …, "size": …, "etag": … }, …].
// Owned here: which requests are made and what their answers mean. Host names, credentials, retries and the bytes of files are the host's.

import http from "credenza:host/http@0.1.0";
import {
  beginsWith, bytesOf, classOf, compareKeys, document, encodePath, entry, error, send, settings, textOf,
} from "./sdk/credenza.js";

const ENDPOINT = "files";
const INDEX_BYTES_MAX = 64 * 1024 * 1024;
const SLASH = "/".charCodeAt(0);

class Session {
  constructor(config) {
    const known = settings(config);
    this.folder = (known.get("folder") ?? "").replace(/^\/+|\/+$/g, "");
    this.identity = `index://${known.get("host")}/${this.folder}`;
  }

  info() {
    return { identity: this.identity, namespace: "flat", traits: ["ordered-scan", "complete-scan", "fingerprints"] };
  }

  now() {
    return null;
  }

  check() {
    try {
      return [{ name: "read the index", outcome: { tag: "ok", val: `${this.index().length} files` } }];
    } catch (failure) {
      return [{ name: "read the index", outcome: { tag: "err", val: failure } }];
    }
  }

  scan({ prefix, startAfter, oneLevel }) {
    const wanted = ({ key }) => beginsWith(key, prefix) && (startAfter == null || compareKeys(key, startAfter) > 0);
    const entries = this.index().filter(wanted);
    return new Scanner(oneLevel ? firstLevel(entries, prefix.length) : entries);
  }

  read(asked, range, ifMatch) {
    if (range != null) throw error("unsupported", "index.range", "this source reads whole files only");
    const key = nameOf(asked.key);
    const response = this.get(key);
    const etag = response.header("etag");
    if (ifMatch != null && etag != null && etag !== ifMatch) {
      throw error("precondition", "index.changed", `\`${key}\` was changed since it was listed`);
    }
    return { entry: asked, content: { tag: "ready", val: http.Response.intoBody(response) } };
  }

  describe(entries) {
    return entries.map(({ attributes }) => ({ tag: "ok", val: attributes }));
  }

  documents() {
    return [];
  }

  get(name) {
    const path = this.folder === "" ? `/${name}` : `/${this.folder}/${name}`;
    const response = send("GET", ENDPOINT, encodePath(path));
    const status = response.status();
    if (status !== 200) {
      throw error(classOf(status), "index.status", `reading \`${name}\` failed: the server answered status ${status}`);
    }
    return response;
  }

  indexed() {
    try {
      return this.get("index.json");
    } catch (failure) {
      if (failure.class !== "not-found") throw failure;
      throw error("configuration", "index.missing", `${this.identity} has no index.json; check host and folder`);
    }
  }

  /** What the index lists, in the order of the keys. Without an index there is no such place, which is not an empty one. */
  index() {
    const listed = parsed(document(this.indexed(), INDEX_BYTES_MAX));
    const entries = listed.map(({ key, size, etag }) =>
      entry(bytesOf(key), "file", { size: size ?? null, fingerprint: etag ?? null }));
    return entries.sort((a, b) => compareKeys(a.key, b.key));
  }
}

/** The key as text; no other has an address here. */
function nameOf(key) {
  try {
    return textOf(key);
  } catch {
    throw error("not-found", "index.not-text", "the key is no text, so that no file has it");
  }
}

/** What lies directly below a prefix of that length; all that lies deeper appears as its folder, once. Keys are in order, so that those of a folder follow each other. */
function firstLevel(entries, prefixLength) {
  const shown = new Map();
  for (const one of entries) {
    const end = one.key.indexOf(SLASH, prefixLength) + 1;
    const isDeeper = end > 0 && end < one.key.length;
    const key = isDeeper ? one.key.slice(0, end) : one.key;
    shown.set(key.join(), isDeeper ? entry(key, "directory") : one);
  }
  return [...shown.values()];
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw error("corrupt", "index.not-json", "the server answered something else than an index in JSON");
  }
}

class Scanner {
  constructor(entries) {
    this.entries = entries;
    this.at = 0;
  }

  next(max) {
    const found = this.entries.slice(this.at, this.at + max).map((val) => ({ tag: "entry", val }));
    this.at += found.length;
    return { found, more: this.at < this.entries.length };
  }
}

export const lifecycle = {
  validate: () => [],
};

export const source = {
  open: (config) => new Session(config),
  Session,
  Scanner,
  Reader: class Reader {
    read() {
      throw error("unsupported", "index.reader", "this source makes no bytes of its own");
    }
  },
};
