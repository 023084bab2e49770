"""What the two checks of the documented interface have in common."""

import asyncio

from nym_program import Failure

PATIENCE = 60  # seconds for anything to arrive


def check(is_so, what, *seen):
    """Tells what holds; what does not hold is the end."""
    if not is_so:
        raise Failure(f"{what}: {seen}")
    print("ok:", what)


class Checked:
    """A program. What is received and what is answered come in one stream; here they are told apart.

    A subclass says which `form` messages have, how to `decode` one, and what its `content` is if it was received."""

    form = None

    def __init__(self, socket):
        self.socket = socket
        self.received = []

    def encode(self, request):
        return request

    async def say(self, request):
        await self.socket.send(self.encode(request))

    async def next(self):
        async with asyncio.timeout(PATIENCE):
            frame = await self.socket.recv()
        if not isinstance(frame, self.form):
            raise Failure(f"{type(frame).__name__} for a program that speaks {self.form.__name__}: {frame[:40]!r}")
        return self.decode(frame)

    async def answer(self, request):
        await self.say(request)
        while (content := self.content(response := await self.next())) is not None:
            self.received.append(content)
        return response

    async def message(self):
        while not self.received:
            response = await self.next()
            content = self.content(response)
            if content is None:
                raise Failure(f"an answer to nothing: {response}")
            self.received.append(content)
        return self.received.pop(0)
