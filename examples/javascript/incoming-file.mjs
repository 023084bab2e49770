// Files that come in chunks. A chunk is a line of JSON with the members file, size, sha256 and offset, and the bytes.

import { createHash } from "node:crypto";
import { closeSync, existsSync, openSync, readFileSync, renameSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";

export const CHUNK = 32 * 1024;
const FILE_MAX = 2 ** 30; // bytes of one file
const OPEN_MAX = 16; // files at a time

export const sha256 = (data) => createHash("sha256").update(data).digest("hex");

/** Writes a chunk. Returns what to answer once the file is complete. Senders are strangers: all is checked. */
export function take(folder, files, { tag, data: message }) {
  const end = message.indexOf("\n");
  const { file: name, size, sha256: hash, offset } = JSON.parse(message.subarray(0, Math.max(end, 0)));
  const data = message.subarray(end + 1);
  if (!/^[^./\\:\x00-\x1f\x7f][^/\\:\x00-\x1f\x7f]{0,99}$/.test(name)) throw new Error("bad name");
  if (!Number.isSafeInteger(size) || size < 0 || size > FILE_MAX || !/^[0-9a-f]{64}$/.test(hash)) throw new Error("bad size");
  if (!tag || data.length !== Math.min(CHUNK, size - offset)) throw new Error("bad chunk");
  const part = join(folder, `.${hash}-${tag.toString("hex")}.part`);
  if (!files.has(part)) {
    if (files.size >= OPEN_MAX) throw new Error("too many files at a time");
    files.set(part, new Set(Array.from({ length: Math.max(Math.ceil(size / CHUNK), 1) }, (_, chunk) => chunk * CHUNK)));
  }
  const missing = files.get(part);
  if (!missing.delete(offset)) throw new Error("bad offset");
  const file = openSync(part, existsSync(part) ? "r+" : "wx");
  writeSync(file, data, 0, data.length, offset);
  closeSync(file);
  if (missing.size) return undefined;
  files.delete(part);
  const complete = sha256(readFileSync(part)) === hash;
  const target = join(folder, name);
  if (!complete) unlinkSync(part);
  else renameSync(part, existsSync(target) ? join(folder, `${hash.slice(0, 8)}-${name}`) : target); // never over another file
  return { answer: { sha256: hash, complete }, line: complete ? `received ${name} ${size} ${hash}` : `damaged ${name}` };
}
