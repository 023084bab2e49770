"""How the examples end."""

import asyncio
import sys

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI


class Failure(Exception):
    """What a user is told before the program ends with status 1."""


def run_program(name, coroutine, url):
    """Runs a program to its end. What goes wrong is told in one line, and is status 1."""
    try:
        asyncio.run(coroutine)
    except TimeoutError:
        sys.exit(f"{name}: the time is up")
    except ConnectionRefusedError as error:
        sys.exit(f"{name}: {error}; is a client running at {url}?")
    except InvalidStatus as error:
        sys.exit(f"{name}: {url}: {error}")
    except InvalidHandshake as error:
        sys.exit(f"{name}: {url}: {error}; is another program connected already?")
    except (Failure, OSError, ConnectionClosed, InvalidURI) as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
