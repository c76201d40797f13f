// What every connector in JavaScript needs over the contract in `wit/`: settings, requests, errors, texts, and paths as the host sends them.
// Owned here: no provider. A function of the contract that answers `result` returns the value, or throws what `error` makes.

import http from "credenza:host/http@0.1.0";
import task from "credenza:host/task@0.1.0";

// QuickJS has neither TextDecoder nor TextEncoder.
const decode = (bytes) => decodeURIComponent([...bytes].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join(""));
const encode = (text) =>
  Uint8Array.from(encodeURIComponent(text).match(/%..|[^%]/g) ?? [], (unit) =>
    unit.length === 1 ? unit.charCodeAt(0) : parseInt(unit.slice(1), 16));

// QuickJS seeds its own generator once, when it starts; that is when the component is built, so that every run would draw the same numbers.
// 53 bits, as many as a number holds exactly. What is drawn while the component is built, at the top of a module, cannot be answered.
Math.random = () =>
  [...task.random(7)].reduce((sum, byte, at) => sum * 256 + (at === 0 ? byte & 31 : byte), 0) / 2 ** 53;

/** Most bytes of one `body.read`. */
const READ_BYTES = 1024 * 1024;

/** An error for the host: what it should do (`class`), a short cause, one sentence. */
export function error(errorClass, reason, message, retryAfterMs = null) {
  return { class: errorClass, reason, message, retryAfterMs };
}

/** The class that a status of HTTP stands for. A redirect is not followed: the user names the place where things are. */
export function classOf(status) {
  if (status === 404 || status === 410) return "not-found";
  if (status === 401 || status === 403) return "denied";
  if (status === 412) return "precondition";
  if (status >= 300 && status < 400) return "configuration";
  if (status === 408 || status === 425 || status === 429 || status >= 500) return "transient";
  return "unsupported";
}

/** The error of an answer whose status is none of success; `action` names what was tried, as in "reading `a`". */
export function errorOf(response, reason, action) {
  const status = response.status();
  const seconds = Number(response.header("retry-after") ?? NaN);
  const wish = Number.isSafeInteger(seconds) && seconds >= 0 ? seconds * 1000 : null;
  return error(classOf(status), reason, `${action} failed: the server answered status ${status}`, wish);
}

/** Settings by name; durations are milliseconds, sizes are bytes. */
export function settings(config) {
  return new Map(config.settings.map(({ name, value }) => [name, value.val]));
}

/** Sends a request without a body to an endpoint of the manifest. */
export function send(method, endpoint, target, headers = []) {
  try {
    return http.send({ method, endpoint, target, headers }, null);
  } catch (failure) {
    const { kind, reason, message } = failure?.payload ?? failure;
    throw error(kind === "refused" ? "denied" : "transient", reason, message);
  }
}

function readPiece(body) {
  try {
    return body.read(READ_BYTES);
  } catch (failure) {
    const { reason, message } = failure?.payload ?? failure;
    throw error("transient", reason, message);
  }
}

/** All bytes of an answer, at most `max`: for documents, not for content, which is handed on as it is. */
export function document(response, max) {
  const body = http.Response.intoBody(response);
  const pieces = [];
  let length = 0;
  for (let piece = readPiece(body); piece.length > 0; piece = readPiece(body)) {
    length += piece.length;
    if (length > max) throw error("corrupt", "document.too-long", `the answer has more than ${max} bytes`);
    pieces.push(Uint8Array.from(piece));
  }
  const whole = new Uint8Array(length);
  pieces.reduce((at, piece) => (whole.set(piece, at), at + piece.length), 0);
  return decode(whole);
}

/** Percent-encodes a path; `/` stays. */
export function encodePath(path) {
  const plain = (byte) => /[A-Za-z0-9\-._~/]/.test(String.fromCharCode(byte));
  const hex = (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  return [...encode(path)].map((byte) => (plain(byte) ? String.fromCharCode(byte) : hex(byte))).join("");
}

/** Text as the bytes of a key, and back. */
export const bytesOf = encode;
export const textOf = decode;

/** Compares two keys as the host does: byte by byte. */
export function compareKeys(a, b) {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) if (a[at] !== b[at]) return a[at] - b[at];
  return a.length - b.length;
}

/** Whether a key begins with these bytes. */
export const beginsWith = (key, prefix) => prefix.every((byte, at) => key[at] === byte);

/** What one level below a prefix of so many bytes shows of entries in order: what lies deeper stands as the folder that it lies in. */
export function oneLevel(entries, prefixLength) {
  const shown = new Map();
  for (const found of entries) {
    const end = found.key.indexOf(0x2f, prefixLength);
    const key = end < 0 ? found.key : found.key.slice(0, end + 1);
    shown.set(key.join(), end < 0 ? found : entry(key, "directory"));
  }
  return [...shown.values()];
}

/** An entry with its key and kind; the rest is what is not known. */
export function entry(key, kind, known = {}) {
  return {
    key, kind, size: null, modified: null, fingerprint: null, locator: null, version: null, linkTarget: null, checksums: [], attributes: [],
    ...known,
  };
}
