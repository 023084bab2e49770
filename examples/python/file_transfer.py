#!/usr/bin/env python3
"""Send files through the mixnet, over the binary interface of the native client.

  file_transfer.py receive FOLDER          tells its address and waits for files
  file_transfer.py send FILE ADDRESS       returns when the receiver has confirmed the file

The receiver never learns the address of the sender. Files are cut into chunks; each says what it is part of,
so that their order does not matter. The receiver checks the SHA-256 of the file and answers."""

import argparse
import asyncio
import hashlib
import json
import secrets
import sys
from pathlib import Path

from websockets.asyncio.client import connect

import nym_binary as nym
from incoming_file import CHUNK, take
from nym_program import Failure, run_program

LANE_MAX = 30  # packets that wait in our lane; more are no faster, and others have to wait for them
REPLY_SURBS = 5  # single-use reply blocks for the confirmation


async def respond(socket):
    kind, said = nym.decode(await socket.recv())
    if kind == nym.ERROR:
        raise Failure(said[1])
    return kind, said


async def send(socket, args):
    recipient, lane = nym.address_from_text(args.address), secrets.randbits(63) | 1  # 0 is no lane
    content = args.file.read_bytes()
    header = {"file": args.file.name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    answer = None
    for offset in range(0, max(len(content), 1), CHUNK):
        data = json.dumps({**header, "offset": offset}).encode() + b"\n" + content[offset : offset + CHUNK]
        await socket.send(nym.send_anonymous(recipient, 0 if offset else REPLY_SURBS, data, lane))
        waiting = LANE_MAX  # a message with a connection id is answered with the length of its lane
        while waiting >= LANE_MAX:
            kind, said = await respond(socket)
            if kind == nym.LANE_QUEUE_LENGTH and (waiting := said[1]) >= LANE_MAX:
                await asyncio.sleep(0.1)
                await socket.send(nym.get_lane_queue_length(lane))
            elif kind == nym.RECEIVED:
                answer = said[1]
    while answer is None:
        kind, said = await respond(socket)
        answer = said[1] if kind == nym.RECEIVED else None
    await socket.send(nym.closed_connection(lane))
    if json.loads(answer) != {"sha256": header["sha256"], "complete": True}:
        raise Failure(f"the receiver has not got the file: {answer[:200]!r}")
    print("sent", args.file.name, len(content), header["sha256"])


async def receive(socket, args):
    args.folder.mkdir(parents=True, exist_ok=True)
    await socket.send(nym.self_address())
    files, received = {}, 0
    while received < args.count or not args.count:
        kind, said = await respond(socket)
        if kind == nym.OWN_ADDRESS:
            print("my address:", nym.address_to_text(said), file=sys.stderr)
        elif kind == nym.RECEIVED:
            try:
                done = take(args.folder, files, *said)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                print(f"a message was no chunk of a file: {error!r}", file=sys.stderr)
                continue
            if done:
                answer, line = done
                await socket.send(nym.reply(said[0], json.dumps(answer).encode()))
                print(line, flush=True)
                received += 1
    # answers come in the order of requests: after this one the client has accepted the last confirmation
    await socket.send(nym.self_address())
    while (await respond(socket))[0] != nym.OWN_ADDRESS:
        pass


async def run(args):
    async with asyncio.timeout(args.timeout):
        async with connect(args.url, proxy=None, compression=None, max_size=None) as socket:
            await (send if args.command == "send" else receive)(socket, args)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="ws://127.0.0.1:1977", help="the websocket of the client (default: %(default)s)")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="give up after so long (default: never)")
    commands = parser.add_subparsers(dest="command", required=True)
    sending = commands.add_parser("send", help="send a file")
    sending.add_argument("file", metavar="FILE", type=Path)
    sending.add_argument("address", metavar="ADDRESS", help="of the receiver")
    receiving = commands.add_parser("receive", help="receive files")
    receiving.add_argument("folder", metavar="FOLDER", type=Path, help="where files go; made if it is not there")
    receiving.add_argument("--count", type=int, default=0, metavar="N", help="end after N files (default: never)")
    args = parser.parse_args()
    run_program("file_transfer", run(args), args.url)


if __name__ == "__main__":
    main()
