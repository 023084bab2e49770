#!/usr/bin/env python3
"""Chat through the mixnet, over the JSON interface of the native client.

  chat.py            tells its address on the standard error, waits for somebody to write, and answers
  chat.py ADDRESS    writes first; the other side gets a tag to answer to, and never an address

Each line of the standard input is a message; what arrives is printed. It ends with the input, or when
--count messages have arrived as well."""

import argparse
import asyncio
import json
import re
import sys
import threading

from websockets.asyncio.client import connect

from nym_program import Failure, run_program

# Single-use reply blocks that go along with each message: the other side can send as many packets back
# before its client has to ask for more.
REPLY_SURBS = 10


def read_lines(loop, lines):
    """Puts the lines of the standard input into a queue, and None at the end. Runs in a thread of its own."""
    for line in sys.stdin:
        loop.call_soon_threadsafe(lines.put_nowait, line.rstrip("\n"))
    loop.call_soon_threadsafe(lines.put_nowait, None)


class Chat:
    def __init__(self, socket, address):
        self.socket = socket
        self.address = address  # of the other side, if we write first
        self.tag = None  # of the other side, if it wrote first
        self.arrived = 0
        self.addresses = 0
        self.changed = asyncio.Event()

    async def ask(self, request):
        await self.socket.send(json.dumps(request))

    async def write(self, text):
        if self.address:
            to = {"type": "sendAnonymous", "recipient": self.address, "replySurbs": REPLY_SURBS}
        else:
            await self.until(lambda: self.tag)  # there is nobody to answer to before
            to = {"type": "reply", "senderTag": self.tag}
        await self.ask({**to, "message": text})

    async def until(self, is_true):
        while not is_true():
            self.changed.clear()
            await self.changed.wait()

    async def listen(self):
        async for frame in self.socket:
            # what arrived before our first request can come in the binary form; upstream's client does that
            if isinstance(frame, bytes):
                raise Failure("a message came in the binary form; connect with ?format=text")
            response = json.loads(frame)
            if response["type"] == "selfAddress":
                if not self.addresses:
                    print("my address:", response["address"], file=sys.stderr)
                self.addresses += 1
            elif response["type"] == "received":
                self.tag = response["senderTag"] or self.tag
                who = (response["senderTag"] or "answer")[:6]
                # no control sequences of strangers on the terminal
                print(f"{who}: " + re.sub(r"[\x00-\x1f\x7f-\x9f]", "\ufffd", response["message"]), flush=True)
                self.arrived += 1
            elif response["type"] == "error":
                raise Failure(response["message"])
            self.changed.set()
        raise Failure("the client has ended the connection")


async def write_lines(chat, count):
    lines = asyncio.Queue()
    threading.Thread(target=read_lines, args=(asyncio.get_running_loop(), lines), daemon=True).start()
    while (line := await lines.get()) is not None:
        await chat.write(line)
    # answers come in the order of requests: after this one the client has accepted all messages
    await chat.ask({"type": "selfAddress"})
    await chat.until(lambda: chat.addresses == 2 and chat.arrived >= count)


async def run(args):
    async with connect(args.url, proxy=None, compression=None) as socket:
        chat = Chat(socket, args.address)
        await chat.ask({"type": "selfAddress"})
        tasks = [asyncio.create_task(chat.listen()), asyncio.create_task(write_lines(chat, args.count))]
        done, pending = await asyncio.wait(tasks, timeout=args.timeout, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        if not done:
            raise Failure(f"{chat.arrived} messages have arrived after {args.timeout} seconds")
        for task in done:
            task.result()  # raises what the task ended with


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", metavar="ADDRESS", nargs="?", help="whom to write to")
    parser.add_argument("--url", default="ws://127.0.0.1:1977", help="the websocket of the client (default: %(default)s)")
    parser.add_argument("--count", type=int, default=0, metavar="N", help="stay until N messages have arrived")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="give up after so long (default: never)")
    args = parser.parse_args()
    run_program("chat", run(args), args.url)


if __name__ == "__main__":
    main()
