#!/usr/bin/env node
// Send files through the mixnet, over the binary interface of the native client.

import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { CHUNK, sha256, take } from "./incoming-file.mjs";
import * as nym from "./nym-binary.mjs";
import { Failure, number, runProgram } from "./nym-program.mjs";

const HELP = `usage: file-transfer.mjs [OPTIONS] send FILE ADDRESS | receive FOLDER

  send FILE ADDRESS   returns when the receiver has confirmed the file
  receive FOLDER      tells its address and waits for files

The receiver never learns the address of the sender. Files are cut into chunks; each says what it is part of,
so that their order does not matter. The receiver checks the SHA-256 of the file and answers.

  --url URL           the websocket of the client (default: ws://127.0.0.1:1977)
  --count N           end after N files have been received (default: never)
  --timeout SECONDS   give up after so long (default: never)
  --help              this text`;

const LANE_MAX = 30; // packets that wait in our lane; more are no faster, and others have to wait for them
const REPLY_SURBS = 5; // single-use reply blocks for the confirmation

async function respond(frames) {
  const response = nym.decode((await frames.next()).value);
  if (response.kind === nym.ERROR) throw new Failure(response.text);
  return response;
}

async function send(socket, frames, [path, to]) {
  const recipient = nym.addressFromText(to);
  const lane = randomBytes(8).readBigUInt64BE() | 1n; // 0 is no lane
  const content = readFileSync(path);
  const header = { file: basename(path), size: content.length, sha256: sha256(content) };
  let answer;
  for (let offset = 0; offset === 0 || offset < content.length; offset += CHUNK) {
    const line = Buffer.from(JSON.stringify({ ...header, offset }) + "\n");
    const data = Buffer.concat([line, content.subarray(offset, offset + CHUNK)]);
    socket.send(nym.sendAnonymous(recipient, offset ? 0 : REPLY_SURBS, data, lane));
    let waiting = LANE_MAX; // a message with a connection id is answered with the length of its lane
    while (waiting >= LANE_MAX) {
      const response = await respond(frames);
      if (response.kind === nym.RECEIVED) answer = response.data;
      if (response.kind !== nym.LANE_QUEUE_LENGTH) continue;
      waiting = response.packets;
      if (waiting < LANE_MAX) break;
      await sleep(100);
      socket.send(nym.getLaneQueueLength(lane));
    }
  }
  while (!answer) answer = (await respond(frames)).data;
  socket.send(nym.closedConnection(lane));
  const { sha256: seen, complete } = JSON.parse(answer);
  if (seen !== header.sha256 || !complete) throw new Failure(`the receiver has not got the file: ${answer}`);
  console.log("sent", header.file, header.size, header.sha256);
}

async function receive(socket, frames, [folder], count) {
  mkdirSync(folder, { recursive: true });
  socket.send(nym.selfAddress());
  const files = new Map();
  for (let received = 0; received < count; ) {
    const response = await respond(frames);
    if (response.kind === nym.OWN_ADDRESS) console.error("my address:", nym.addressToText(response.address));
    if (response.kind !== nym.RECEIVED) continue;
    let done;
    try {
      done = take(folder, files, response);
    } catch (error) {
      if (error.syscall) throw error; // it is the folder that is wrong
      console.error("a message was no chunk of a file:", error.message);
    }
    if (!done) continue;
    socket.send(nym.reply(response.tag, Buffer.from(JSON.stringify(done.answer))));
    console.log(done.line);
    received += 1;
  }
  // answers come in the order of requests: after this one the client has accepted the last confirmation
  socket.send(nym.selfAddress());
  while ((await respond(frames)).kind !== nym.OWN_ADDRESS);
}

try {
  const string = { type: "string" };
  const { values, positionals } = parseArgs({
    options: { url: { ...string, default: "ws://127.0.0.1:1977" }, count: string, timeout: string, help: { type: "boolean" } },
    allowPositionals: true,
  });
  const [command, ...rest] = positionals;
  if (values.help) console.log(HELP);
  else if (!(command === "send" && rest.length === 2) && !(command === "receive" && rest.length === 1)) {
    throw new Failure("there are `send FILE ADDRESS` and `receive FOLDER`");
  } else {
    const wanted = { url: values.url, timeout: number("timeout", values.timeout) };
    const count = number("count", values.count) ?? Infinity;
    await runProgram("file-transfer", wanted, (socket, frames) =>
      command === "send" ? send(socket, frames, rest) : receive(socket, frames, rest, count));
  }
} catch (error) {
  console.error(`file-transfer: ${error.message}; see --help`);
  process.exit(1);
}
