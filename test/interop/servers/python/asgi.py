"""A node on python-socketio, ASGI and uvicorn: `asgi.py PORT NAME`."""

import sys

import socketio
from serving import say, serve

PORT, NAME = int(sys.argv[1]), sys.argv[2]

sio = socketio.AsyncServer(
    async_mode="asgi", ping_interval=1, ping_timeout=4, max_http_buffer_size=4 * 1024 * 1024
)
clients = set()


@sio.event
async def connect(sid, environ):
    clients.add(sid)
    say(event="connect", id=sid)
    await sio.emit("welcome", NAME, to=sid)


@sio.event
async def disconnect(sid, reason):
    clients.discard(sid)
    say(event="disconnect", id=sid, reason=reason)


@sio.event
async def echo(sid, payload):
    return payload


@sio.event
async def whoami(sid, *_):
    return NAME


@sio.on("clients")
async def count_clients(sid, *_):
    return len(clients)


@sio.event
async def broadcast(sid, text):
    await sio.emit("broadcasted", text)


@sio.event
async def stream(sid, count):
    for n in range(count):
        await sio.emit("n", n, to=sid)


@sio.event
async def leave(sid, *_):
    await sio.disconnect(sid)


serve(socketio.ASGIApp(sio), PORT)
