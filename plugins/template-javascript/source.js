// The connector to copy: a source of files at an HTTP address. `index.json` there lists them: [{ "key": …, "size": …, "etag": … }, …].
// Owned here: which requests are made and what their answers mean. Host names, credentials, retries and the bytes of files are the host's.

import http from "credenza:host/http@0.1.0";
import {
  beginsWith, bytesOf, compareKeys, document, encodePath, entry, error, errorOf, oneLevel, send, settings, textOf,
} from "./sdk/credenza.js";

const ENDPOINT = "files";
const INDEX_BYTES_MAX = 64 * 1024 * 1024;

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

  scan({ prefix, startAfter, oneLevel: isOneLevel }) {
    const below = this.index().filter(({ key }) => beginsWith(key, prefix));
    const shown = isOneLevel ? oneLevel(below, prefix.length) : below;
    return new Scanner(shown.filter(({ key }) => startAfter == null || compareKeys(key, startAfter) > 0));
  }

  read(asked, range, ifMatch) {
    if (range != null) throw error("unsupported", "index.range", "this source reads whole files only");
    const key = nameOf(asked.key);
    const response = this.get(key);
    const etag = response.header("etag");
    const length = response.header("content-length");
    const isResized = asked.size != null && length != null && BigInt(length) !== BigInt(asked.size);
    if (ifMatch != null && (isResized || (etag != null && etag !== ifMatch))) {
      throw error("precondition", "index.changed", `\`${key}\` was changed since it was listed`);
    }
    const found = isResized ? { ...asked, size: Number(length), fingerprint: etag ?? null } : asked;
    return { entry: found, content: { tag: "ready", val: http.Response.intoBody(response) } };
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
    if (response.status() !== 200) throw errorOf(response, "index.status", `reading \`${name}\``);
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

/** The list in a text. Whatever else a server answers, with whatever status, is an error and no empty list. */
function parsed(text) {
  let listed = null;
  try {
    listed = JSON.parse(text);
  } catch {
    // What is no JSON is told as what is no list.
  }
  if (Array.isArray(listed) && listed.every((one) => typeof one?.key === "string")) return listed;
  throw error("corrupt", "index.no-list", "the index is no list of files with a key each; check host and folder");
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
