"""A bare node on python-engineio, ASGI and uvicorn: `engine.py PORT NAME`."""

import sys

import engineio
from serving import say, serve

PORT, NAME = int(sys.argv[1]), sys.argv[2]

eio = engineio.AsyncServer(
    async_mode="asgi", ping_interval=1, ping_timeout=4, max_http_buffer_size=4 * 1024 * 1024
)
clients = set()


@eio.on("connect")
async def connect(sid, environ):
    clients.add(sid)
    say(event="connect", id=sid)
    # Goes out in the answer to the handshake, behind the open packet.
    await eio.send(sid, f"welcome:{NAME}")


@eio.on("disconnect")
async def disconnect(sid, reason):
    clients.discard(sid)
    say(event="disconnect", id=sid, reason=reason)


@eio.on("message")
async def message(sid, data):
    if data == "whoami":
        await eio.send(sid, f"whoami:{NAME}")
    elif data == "clients":
        await eio.send(sid, f"clients:{len(clients)}")
    elif data == "leave":
        await eio.disconnect(sid)
    elif isinstance(data, str) and data.startswith("stream:"):
        for n in range(int(data.removeprefix("stream:"))):
            await eio.send(sid, f"n:{n}")
    else:
        await eio.send(sid, data)


serve(engineio.ASGIApp(eio), PORT)
