// Builds the connector: QuickJS with `source.js`, and the manifest as its last section. `node build.mjs [OUTPUT]`.
// `CREDENZA_WIT` names the folder of the contract, one package a folder; else it is `wit` beside this file.

import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { componentize } from "componentize-qjs";

const here = dirname(fileURLToPath(import.meta.url));
const output = process.argv[2] ?? join(here, "connector.wasm");
const wit = process.env.CREDENZA_WIT ?? join(here, "wit");

const { component } = await componentize({
  witPath: wit,
  world: "source-connector",
  jsPath: join(here, "source.js"),
  jsSource: await readFile(join(here, "source.js"), "utf8"),
  moduleRoot: here,
  sync: true,
  optSize: true,
});

const manifest = await readFile(join(here, "connector.toml"));
const name = Buffer.from("credenza:manifest");
const content = Buffer.concat([Buffer.from([name.length]), name, manifest]);
await writeFile(output, Buffer.concat([component, Buffer.from([0]), leb128(content.length), content]));

function leb128(number) {
  const bytes = [];
  for (; number >= 0x80; number = Math.floor(number / 0x80)) bytes.push((number % 0x80) | 0x80);
  return Buffer.from([...bytes, number]);
}
