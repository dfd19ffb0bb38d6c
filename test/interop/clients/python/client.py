"""A session on python-socketio's asyncio client that speaks JSON lines, on its lines 4 and 5.

The client on threads is not used: it starts a thread for every message, so that messages may
overtake each other.
"""

import asyncio
import base64
import inspect
import json
import sys

import socketio
from engineio.payload import Payload

WELCOME_S = 20
# The default refuses an answer to a poll with more than 16 packets in it.
Payload.max_decode_packets = 10_000

sio = socketio.AsyncClient(reconnection=False)
welcomes = asyncio.Queue()
numbers = asyncio.Queue()
closed = asyncio.Event()
# Line 4 has nothing to wait for: its servers connect the default namespace by themselves.
waits = "wait_timeout" in inspect.signature(sio.connect).parameters


def say(**line):
    print(json.dumps(line), flush=True)


@sio.event
def welcome(node):
    welcomes.put_nowait(node)


@sio.event
def n(number):
    numbers.put_nowait(number)


@sio.event
def disconnect(*_):
    if not closed.is_set():
        say(event="closed")
    closed.set()


async def connect(url, transports):
    # The handler of a disconnect runs before the library is ready for the next session.
    while sio.eio.state != "disconnected":
        await asyncio.sleep(0.01)
    closed.clear()
    await sio.connect(url, transports=transports, **({"wait_timeout": WELCOME_S} if waits else {}))
    return {"node": await asyncio.wait_for(welcomes.get(), WELCOME_S)}


async def transport():
    return sio.transport()


async def echo(**payload):
    if "base64" in payload:
        answer = await sio.call("echo", base64.b64decode(payload["base64"]))
        return {"base64": base64.b64encode(answer).decode()}
    [(kind, value)] = payload.items()
    return {kind: await sio.call("echo", value)}


async def whoami():
    return await sio.call("whoami")


async def stream(count):
    await sio.emit("stream", count)
    return [await numbers.get() for _ in range(count)]


async def leave():
    await sio.emit("leave")
    await closed.wait()


async def end():
    await sio.disconnect()
    # Line 4 does not wait for its last packets, nor call the handler.
    await sio.eio.wait()
    disconnect()


DO = {f.__name__: f for f in (connect, transport, echo, whoami, stream, leave)}
DO["disconnect"] = end


async def obey(command):
    id = command.pop("id")
    try:
        say(id=id, ok=await DO[command.pop("do")](**command))
    except Exception as error:
        say(id=id, error=f"{type(error).__name__}: {error}")


async def main():
    running = set()
    read = asyncio.get_running_loop().run_in_executor
    while line := await read(None, sys.stdin.readline):
        task = asyncio.create_task(obey(json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)


asyncio.run(main())
