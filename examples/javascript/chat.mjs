#!/usr/bin/env node
// Chat through the mixnet, over the JSON interface of the native client.

import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { Failure, number, runProgram } from "./nym-program.mjs";

const HELP = `usage: chat.mjs [OPTIONS] [ADDRESS]

  chat.mjs            tells its address on the standard error, waits for somebody to write, and answers
  chat.mjs ADDRESS    writes first; the other side gets a tag to answer to, and never an address

Each line of the standard input is a message; what arrives is printed. It ends with the input, or when
--count messages have arrived as well.

  --url URL           the websocket of the client (default: ws://127.0.0.1:1977)
  --count N           stay until N messages have arrived
  --timeout SECONDS   give up after so long (default: never)
  --help              this text`;

// Single-use reply blocks that go along with each message: the other side can send as many packets back
// before its client has to ask for more.
const REPLY_SURBS = 10;

function options() {
  const string = { type: "string" };
  const { values, positionals } = parseArgs({
    options: { url: { ...string, default: "ws://127.0.0.1:1977" }, count: string, timeout: string, help: { type: "boolean" } },
    allowPositionals: true,
  });
  if (values.help) {
    console.log(HELP);
    process.exit(0);
  }
  if (positionals.length > 1) throw new Failure(`one address, not ${positionals.length}`);
  const count = number("count", values.count) ?? 0;
  return { url: values.url, count, timeout: number("timeout", values.timeout), address: positionals[0] };
}

async function chat(socket, frames, { address, count }) {
  const ask = (request) => socket.send(JSON.stringify(request));
  const waiting = []; // lines that nobody can be sent yet
  let tag; // of the other side, if it wrote first
  let arrived = 0;
  let addresses = 0;

  const write = (message) => {
    if (address) ask({ type: "sendAnonymous", recipient: address, replySurbs: REPLY_SURBS, message });
    else if (tag) ask({ type: "reply", senderTag: tag, message });
    else waiting.push(message);
  };
  let hasEnded = false;
  let isAsked = false;
  // Answers come in the order of requests: after this one the client has accepted all messages.
  const askAtTheEnd = () => {
    if (!hasEnded || waiting.length || isAsked) return;
    isAsked = true;
    ask({ type: "selfAddress" });
  };

  ask({ type: "selfAddress" });
  const lines = createInterface({ input: process.stdin });
  lines.on("line", write);
  lines.on("close", () => {
    hasEnded = true;
    askAtTheEnd();
  });
  for await (const frame of frames) {
    // what arrived before our first request can come in the binary form; upstream's client does that
    if (typeof frame !== "string") throw new Failure("a message came in the binary form; connect with ?format=text");
    const response = JSON.parse(frame);
    if (response.type === "selfAddress") {
      if (!addresses) console.error("my address:", response.address);
      addresses += 1;
    } else if (response.type === "received") {
      tag = response.senderTag ?? tag;
      arrived += 1;
      // no control sequences of strangers on the terminal
      const text = response.message.replace(/[\x00-\x1f\x7f-\x9f]/g, "\ufffd");
      console.log(`${(response.senderTag ?? "answer").slice(0, 6)}: ${text}`);
      if (tag) waiting.splice(0).forEach(write);
      askAtTheEnd();
    } else if (response.type === "error") {
      throw new Failure(response.message);
    }
    if (addresses === 2 && arrived >= count) return;
  }
}

try {
  const wanted = options();
  await runProgram("chat", wanted, (socket, frames) => chat(socket, frames, wanted));
} catch (error) {
  console.error(`chat: ${error.message}; see --help`);
  process.exit(1);
}
