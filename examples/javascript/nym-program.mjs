// How the examples connect and end.

import { on, once } from "node:events";
import WebSocket from "ws";

/** What a user is told before the program ends with status 1. */
export class Failure extends Error {}

/** Runs `main(socket, frames)` on a connection; `frames` are the messages of the client, as strings and buffers. */
export async function runProgram(name, { url, timeout }, main) {
  const fail = (text) => {
    console.error(`${name}: ${text}`);
    process.exit(1);
  };
  if (timeout !== undefined) setTimeout(fail, 1000 * timeout, "the time is up").unref();
  process.on("SIGINT", () => process.exit(130));
  try {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    const arriving = on(socket, "message", { close: ["close"] });
    await once(socket, "open");
    await main(socket, frames(arriving));
    socket.close();
    await once(socket, "close");
    process.exit(0);
  } catch (error) {
    if (error.code === "ECONNREFUSED") fail(`${error.message}; is a client running at ${url}?`);
    if (error.code === "ECONNRESET") fail(`${url}: ${error.message}; is another program connected already?`);
    fail(error.message);
  }
}

async function* frames(arriving) {
  for await (const [data, isBinary] of arriving) yield isBinary ? data : data.toString();
  throw new Failure("the client has ended the connection");
}

/** The number that an option states, or nothing. */
export function number(name, text) {
  if (text === undefined) return undefined;
  if (!/^\d+(\.\d+)?$/.test(text)) throw new Failure(`--${name}: ${text} is no number`);
  return Number(text);
}
