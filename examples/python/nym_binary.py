"""The binary interface of the native client: docs/protocol/websocket.md, sections 2 to 5."""

import struct

from nym_program import Failure

# The first byte of a response.
ERROR, RECEIVED, OWN_ADDRESS, LANE_QUEUE_LENGTH = 0, 1, 2, 3

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


# ---- addresses: three keys of 32 bytes; as text IDENTITY.ENCRYPTION@GATEWAY in base58

def address_from_text(text):
    try:
        client, gateway = text.split("@")
        identity, encryption = client.split(".")
        return b"".join(from_base58(key, 32) for key in (identity, encryption, gateway))
    except (ValueError, OverflowError):
        raise Failure(f"{text!r} is no address") from None


def address_to_text(address):
    identity, encryption, gateway = (to_base58(address[at : at + 32]) for at in (0, 32, 64))
    return f"{identity}.{encryption}@{gateway}"


def from_base58(text, size):
    number = 0
    for character in text:
        number = number * 58 + BASE58.index(character)
    return number.to_bytes(size, "big")


def to_base58(data):
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = BASE58[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


# ---- requests; integers are big-endian, and connection id 0 stands for none

def send(recipient, data, connection=0):
    return struct.pack(">B96sQQ", 0, recipient, connection, len(data)) + data


def send_anonymous(recipient, surbs, data, connection=0):
    return struct.pack(">BI96sQQ", 1, surbs, recipient, connection, len(data)) + data


def reply(tag, data, connection=0):
    return struct.pack(">B16sQQ", 2, tag, connection, len(data)) + data


def self_address():
    return bytes([3])


def closed_connection(connection):
    return struct.pack(">BQ", 4, connection)


def get_lane_queue_length(connection):
    return struct.pack(">BQ", 5, connection)


# ---- responses

def decode(frame):
    """The first byte, and what follows it: (kind, text), (tag or None, data), the address, or (connection, packets)."""
    try:
        if frame[0] == ERROR:
            return ERROR, (frame[1], counted(frame[2:]).decode())
        if frame[0] == RECEIVED and frame[1] == 0:
            return RECEIVED, (None, counted(frame[2:]))
        if frame[0] == RECEIVED and frame[1] == 1:
            return RECEIVED, (frame[2:18], counted(frame[18:]))
        if frame[0] == OWN_ADDRESS and len(frame) == 97:
            return OWN_ADDRESS, frame[1:]
        if frame[0] == LANE_QUEUE_LENGTH:
            return LANE_QUEUE_LENGTH, struct.unpack(">QQ", frame[1:])
    except (IndexError, ValueError, struct.error):
        pass
    raise Failure(f"a response that is none: {frame[:40]!r}")


def counted(data):
    """What stands behind a length, which must be that of the rest."""
    (length,) = struct.unpack(">Q", data[:8])
    if length != len(data) - 8:
        raise ValueError
    return data[8:]
