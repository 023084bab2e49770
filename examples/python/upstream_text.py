#!/usr/bin/env python3
"""Checks a client against the documented JSON interface of nym-client, and nothing beyond it.

Everything is sent to the client itself. Status 0 if all answers are as documented, 1 if one is not."""

import argparse
import asyncio
import json
import re

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage

from nym_program import Failure, run_program
from upstream_check import Checked, check

KEY = "[1-9A-HJ-NP-Za-km-z]{32,44}"
TAG = "[1-9A-HJ-NP-Za-km-z]{16,22}"


class Program(Checked):
    """Messages are told apart by their type."""

    form = str

    def encode(self, request):
        return request if isinstance(request, str) else json.dumps(request)

    def decode(self, frame):
        return json.loads(frame)

    def content(self, response):
        return response if response["type"] == "received" else None


async def addresses(program):
    answer = await program.answer({"type": "selfAddress"})
    check(answer.keys() == {"type", "address"}, "selfAddress has an address alone", answer)
    check(re.fullmatch(rf"{KEY}\.{KEY}@{KEY}", answer["address"]), "the address is IDENTITY.ENCRYPTION@GATEWAY", answer)
    return answer["address"]


async def sending(program, me):
    for text in ("hello", "", 'ż 漢字 🦀 "\\\n\0', "long " * 10_000):
        await program.say({"type": "send", "recipient": me, "message": text})
        # an answer to `send` would be taken for that of selfAddress
        check((await program.answer({"type": "selfAddress"}))["type"] == "selfAddress", "send is not answered")
        message = await program.message()
        check(message == {"type": "received", "message": text, "senderTag": None}, f"{len(text)} characters arrive")
    odd = {"withReplySurb": True, "connectionId": None, "message": "odd", "recipient": me, "type": "send"}
    await program.say(odd)
    check((await program.message())["message"] == "odd", "fields in any order, unknown ones, and null are accepted")


async def lanes(program, me):
    for lane in (0, 7, 2**64 - 1):
        request = {"type": "send", "recipient": me, "message": f"lane {lane}", "connectionId": lane}
        answer = await program.answer(request)
        check(answer.keys() == {"type", "lane", "queue_length"}, "send with connectionId is answered", answer)
        check(answer["type"] == "laneQueueLength" and answer["lane"] == lane, f"it names lane {lane}", answer)
        check(type(answer["queue_length"]) is int and answer["queue_length"] >= 0, "and has a length", answer)
        check((await program.message())["message"] == f"lane {lane}", "and the message arrives")


async def replies(program, me):
    tags = set()
    for surbs in (10, 0):  # without further reply blocks those of before are used
        await program.say({"type": "sendAnonymous", "recipient": me, "message": "who am I?", "replySurbs": surbs})
        message = await program.message()
        check(re.fullmatch(TAG, message["senderTag"] or ""), f"sendAnonymous with {surbs} SURBs has a tag", message)
        check(message.keys() == {"type", "message", "senderTag"}, "and nothing else but the message", message)
        tags.add(message["senderTag"])
        await program.say({"type": "reply", "senderTag": message["senderTag"], "message": "no idea", "connectionId": None})
        answer = await program.message()
        check(answer == {"type": "received", "message": "no idea", "senderTag": None}, "the reply arrives", answer)
    check(len(tags) == 1, "a sender keeps its tag", tags)
    reply = {"type": "reply", "senderTag": tags.pop(), "message": "on a lane", "connectionId": 8}
    answer = await program.answer(reply)
    check((answer["type"], answer.get("lane")) == ("laneQueueLength", 8), "reply with connectionId is answered", answer)
    check((await program.message())["message"] == "on a lane", "and arrives")
    anonymous = {"type": "sendAnonymous", "recipient": me, "message": "a", "replySurbs": 1, "connectionId": 9}
    answer = await program.answer(anonymous)
    check((answer["type"], answer.get("lane")) == ("laneQueueLength", 9), "so is sendAnonymous", answer)
    check((await program.message())["message"] == "a", "and arrives")


async def errors(program, me):
    send, anonymous = {"type": "send", "recipient": me, "message": ""}, {"type": "sendAnonymous", "recipient": me, "message": ""}
    wrong = {
        "no JSON": "{", "nothing": "", "no object": "[]", "no type": "{}", "an unknown type": {"type": "dance"},
        "no recipient": {"type": "send", "message": ""}, "no message": {"type": "send", "recipient": me},
        "a bad recipient": {**send, "recipient": "nobody"}, "an object as message": {**send, "message": {}},
        "a bad base58 digit": {**send, "recipient": "0" + me[1:]}, "no replySurbs": anonymous,
        "replySurbs that is no integer": json.dumps({**anonymous, "replySurbs": 100.0}),
        "replySurbs below 0": {**anonymous, "replySurbs": -1}, "a connectionId that is no number": {**send, "connectionId": "1"},
        "a bad tag": {"type": "reply", "senderTag": "x", "message": ""}, "no tag": {"type": "reply", "message": ""},
        "sendAnonymous to a tag": {"type": "sendAnonymous", "senderTag": "1" * 16, "message": "", "replySurbs": 1},
    }
    for what, request in wrong.items():
        error = await program.answer(request)
        check(error.keys() == {"type", "message"} and error["type"] == "error", f"{what} is an error", error)
        check(error["message"].startswith("malformed request:"), "of the documented kind", error)
    check((await program.answer({"type": "selfAddress"}))["type"] == "selfAddress", "no error ends the connection")


async def one_program(url, program):
    try:
        async with connect(url, proxy=None, compression=None) as second:
            await second.recv()
    except (InvalidMessage, ConnectionError, EOFError, ConnectionClosed):
        pass
    else:
        raise Failure("a second program can connect")
    check((await program.answer({"type": "selfAddress"}))["type"] == "selfAddress", "a second program is turned away")
    await (await program.socket.ping())
    print("ok: ping is answered")


async def run(url):
    async with connect(url, proxy=None, compression=None) as socket:
        program = Program(socket)
        me = await addresses(program)
        for checks in (sending, lanes, replies, errors):
            await checks(program, me)
        await one_program(url, program)
        check(not program.received, "nothing has arrived that was not sent", program.received)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="ws://127.0.0.1:1977", help="the websocket of the client (default: %(default)s)")
    url = parser.parse_args().url
    run_program("upstream_text", run(url), url)
