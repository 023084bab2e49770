#!/usr/bin/env python3
"""Checks a client against the documented binary interface of nym-client, and nothing beyond it.

Everything is sent to the client itself. Status 0 if all answers are as documented, 1 if one is not."""

import argparse
import asyncio
import json
import struct

from websockets.asyncio.client import connect

import nym_binary as nym
from nym_program import Failure, run_program
from upstream_check import Checked, check

SLOW = bytes(300_000)  # takes long enough to arrive for a connection to end meanwhile
EMPTY, TOO_SHORT, UNKNOWN, MALFORMED = 1, 2, 3, 4  # kinds of errors


class Program(Checked):
    """Messages are told apart by their first byte."""

    form = bytes

    def decode(self, frame):
        return nym.decode(frame)  # which checks the layout, too

    def content(self, response):
        kind, said = response
        return said if kind == nym.RECEIVED else None

    async def address(self):
        kind, address = await self.answer(nym.self_address())
        if kind != nym.OWN_ADDRESS:
            raise Failure(f"no address but {kind} {address}")
        return address


async def addresses(program, me):
    check(len(me) == 96, "an address has 96 bytes", me)
    check(nym.address_from_text(nym.address_to_text(me)) == me, "it can be written and read", me)
    kind, again = await program.answer(nym.self_address() + b"ignored")
    check((kind, again) == (nym.OWN_ADDRESS, me), "what follows the byte of SelfAddress is ignored", again)


async def sending(program, me):
    for data in (b"hello", b"", bytes(range(256)) * 200):
        await program.say(nym.send(me, data))
        check(await program.address() == me, "Send without a connection id is not answered")
        check(await program.message() == (None, data), f"{len(data)} bytes arrive, without a tag")


async def lanes(program, me):
    for lane in (1, 2**64 - 1):
        kind, said = await program.answer(nym.send(me, b"on a lane", lane))
        check((kind, said[0]) == (nym.LANE_QUEUE_LENGTH, lane), "Send with a connection id is answered", kind, said)
        check(await program.message() == (None, b"on a lane"), "and the message arrives")
    for lane in (0, 12345):
        answer = await program.answer(nym.get_lane_queue_length(lane))
        check(answer == (nym.LANE_QUEUE_LENGTH, (lane, 0)), f"nothing waits in lane {lane}, which is unknown", answer)


async def closed_lane(program, me):
    big, lane = b"big" * 100_000, 77
    kind, (_, packets) = await program.answer(nym.send(me, big, lane))
    check(kind == nym.LANE_QUEUE_LENGTH and packets > 10, "a large message waits in its lane", packets)
    check((await program.answer(nym.get_lane_queue_length(lane)))[1][1] > 10, "GetLaneQueueLength says so")
    await program.say(nym.closed_connection(lane))
    while (await program.answer(nym.get_lane_queue_length(lane)))[1][1]:
        await asyncio.sleep(0.1)
    print("ok: ClosedConnection empties the lane, and is not answered")
    await program.say(nym.send(me, b"after it"))
    check(await program.message() == (None, b"after it"), "what was dropped does not arrive, and what follows does")


async def replies(program, me):
    tags = set()
    for surbs in (10, 0):  # without further reply blocks those of before are used
        await program.say(nym.send_anonymous(me, surbs, b"who am I?"))
        tag, data = await program.message()
        check(tag is not None and data == b"who am I?", f"SendAnonymous with {surbs} SURBs has a tag", tag)
        tags.add(tag)
        await program.say(nym.reply(tag, b"no idea \xff"))
        check(await program.message() == (None, b"no idea \xff"), "the reply arrives, without a tag")
    check(len(tags) == 1, "a sender keeps its tag", tags)
    for request in (nym.reply(tags.pop(), b"on a lane", 8), nym.send_anonymous(me, 1, b"on a lane", 8)):
        kind, said = await program.answer(request)
        check((kind, said[0]) == (nym.LANE_QUEUE_LENGTH, 8), f"request {request[0]} with a connection id is answered")
        check((await program.message())[1] == b"on a lane", "and arrives")


async def errors(program, me):
    tag = bytes(16)
    wrong = [
        (b"", EMPTY, "no byte"), (b"\x63", UNKNOWN, "an unknown first byte"),
        (nym.send(me, b"")[:-1], TOO_SHORT, "a short Send"), (b"\0", TOO_SHORT, "the byte of Send alone"),
        (nym.send_anonymous(me, 1, b"")[:-1], TOO_SHORT, "a short SendAnonymous"),
        (nym.reply(tag, b"")[:-1], TOO_SHORT, "a short Reply"), (b"\x02ab", TOO_SHORT, "a very short Reply"),
        (nym.send(me, b"ab")[:-1], MALFORMED, "a Send that ends early"), (nym.send(me, b"") + b"x", MALFORMED, "or late"),
        (nym.send_anonymous(me, 1, b"ab")[:-1], MALFORMED, "a SendAnonymous that ends early"),
        (nym.send_anonymous(me, 1, b"") + b"x", MALFORMED, "or late"),
        (nym.reply(tag, b"ab")[:-1], MALFORMED, "a Reply that ends early"), (nym.reply(tag, b"a") + b"x", MALFORMED, "or late"),
        (nym.send(me, b"")[:-8] + struct.pack(">Q", 2**64 - 1), MALFORMED, "a Send of 2^64 - 1 bytes"),
    ]
    for byte, name in ((4, "ClosedConnection"), (5, "GetLaneQueueLength")):
        wrong += [(bytes([byte]) + bytes(size), MALFORMED, f"{name} of {size + 1} bytes") for size in (0, 7, 9)]
    for request, kind, what in wrong:
        answer, said = await program.answer(request)
        check((answer, said[0]) == (nym.ERROR, kind), f"{what} is an error of kind {kind}", answer, said)
        check(len(said[1]) > 0, "that says why")
    check(await program.address() == me, "no error ends the connection")


async def forms(program, me):
    await program.say('{"type":"selfAddress"}')
    answer = json.loads(await program.socket.recv())
    check(answer == {"type": "selfAddress", "address": nym.address_to_text(me)}, "JSON is answered with JSON", answer)
    await program.say(json.dumps({"type": "send", "recipient": nym.address_to_text(me), "message": "text"}))
    message = json.loads(await program.socket.recv())
    check(message == {"type": "received", "message": "text", "senderTag": None}, "then what arrives is JSON", message)
    check(await program.address() == me, "a binary request is answered in the binary form")


async def waiting(program, me):
    check(await program.message() == (None, SLOW), "what has arrived waits, also for a program that says nothing")


async def run(url):
    async with connect(url, proxy=None, compression=None) as socket:
        program = Program(socket)
        me = await program.address()
        for checks in (addresses, sending, lanes, closed_lane, replies, errors, forms):
            await checks(program, me)
        check(not program.received, "nothing has arrived that was not sent", program.received)
        await program.say(nym.send(me, SLOW))
        check(await program.address() == me, "the last message of this connection is accepted")
    async with connect(url, proxy=None, compression=None) as socket:
        await waiting(Program(socket), me)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="ws://127.0.0.1:1977", help="the websocket of the client (default: %(default)s)")
    url = parser.parse_args().url
    run_program("upstream_binary", run(url), url)
