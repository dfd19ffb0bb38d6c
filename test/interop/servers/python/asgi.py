"""A node on python-socketio, ASGI and uvicorn: `asgi.py PORT NAME`."""

import asyncio
import json
import os
import signal
import sys
import threading

import socketio
import uvicorn

PORT, NAME = int(sys.argv[1]), sys.argv[2]

sio = socketio.AsyncServer(
    async_mode="asgi", ping_interval=1, ping_timeout=4, max_http_buffer_size=4 * 1024 * 1024
)
clients = set()


def say(**event):
    print(json.dumps(event, separators=(",", ":")), flush=True)


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


class Node(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print("ready", flush=True)


def end_with_input():
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


threading.Thread(target=end_with_input, daemon=True).start()
config = uvicorn.Config(
    socketio.ASGIApp(sio),
    host="127.0.0.1",
    port=PORT,
    log_level="warning",
    timeout_graceful_shutdown=1,
)
asyncio.run(Node(config).serve())
