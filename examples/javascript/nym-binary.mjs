// The binary interface of the native client: docs/protocol/websocket.md, sections 2 to 5.

import { Failure } from "./nym-program.mjs";

/** The first byte of a response. */
export const ERROR = 0, RECEIVED = 1, OWN_ADDRESS = 2, LANE_QUEUE_LENGTH = 3;

const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

// ---- addresses: three keys of 32 bytes; as text IDENTITY.ENCRYPTION@GATEWAY in base58

export function addressFromText(text) {
  const keys = /^(\w+)\.(\w+)@(\w+)$/.exec(text)?.slice(1).map(keyFromText);
  if (!keys?.every(Boolean)) throw new Failure(`"${text}" is no address`);
  return Buffer.concat(keys);
}

export function addressToText(address) {
  const [identity, encryption, gateway] = [0, 32, 64].map((at) => keyToText(address.subarray(at, at + 32)));
  return `${identity}.${encryption}@${gateway}`;
}

function keyFromText(text) {
  let number = 0n;
  for (const character of text) {
    const digit = BASE58.indexOf(character);
    if (digit < 0) return undefined;
    number = number * 58n + BigInt(digit);
  }
  const hex = number.toString(16).padStart(64, "0");
  return hex.length === 64 ? Buffer.from(hex, "hex") : undefined;
}

function keyToText(key) {
  let text = "";
  for (let number = BigInt("0x" + key.toString("hex")); number > 0n; number /= 58n) {
    text = BASE58[Number(number % 58n)] + text;
  }
  const zeros = key.findIndex((byte) => byte !== 0);
  return "1".repeat(zeros < 0 ? key.length : zeros) + text;
}

// ---- requests; integers are big-endian, and connection id 0 stands for none

const u32 = (number) => { const bytes = Buffer.alloc(4); bytes.writeUInt32BE(number); return bytes; };
const u64 = (number) => { const bytes = Buffer.alloc(8); bytes.writeBigUInt64BE(BigInt(number)); return bytes; };
const request = (tag, ...parts) => Buffer.concat([Buffer.of(tag), ...parts]);

export const send = (recipient, data, connection = 0n) => request(0, recipient, u64(connection), u64(data.length), data);
export const sendAnonymous = (recipient, surbs, data, connection = 0n) =>
  request(1, u32(surbs), recipient, u64(connection), u64(data.length), data);
export const reply = (tag, data, connection = 0n) => request(2, tag, u64(connection), u64(data.length), data);
export const selfAddress = () => request(3);
export const closedConnection = (connection) => request(4, u64(connection));
export const getLaneQueueLength = (connection) => request(5, u64(connection));

// ---- responses

/** A response as an object: its `kind`, and what belongs to that. */
export function decode(frame) {
  try {
    const [kind, flag] = frame;
    if (kind === ERROR) return { kind, code: flag, text: counted(frame.subarray(2)).toString() };
    if (kind === RECEIVED && flag === 0) return { kind, data: counted(frame.subarray(2)) };
    if (kind === RECEIVED && flag === 1) return { kind, tag: frame.subarray(2, 18), data: counted(frame.subarray(18)) };
    if (kind === OWN_ADDRESS && frame.length === 97) return { kind, address: frame.subarray(1) };
    if (kind === LANE_QUEUE_LENGTH && frame.length === 17) {
      return { kind, connection: frame.readBigUInt64BE(1), packets: Number(frame.readBigUInt64BE(9)) };
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  throw new Failure(`a response that is none: ${frame.slice(0, 40).toString("hex")}`);
}

/** What stands behind a length, which must be that of the rest. */
function counted(data) {
  if (data.readBigUInt64BE(0) !== BigInt(data.length - 8)) throw new RangeError("length");
  return data.subarray(8);
}
