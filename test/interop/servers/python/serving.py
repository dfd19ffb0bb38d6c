"""What the nodes on ASGI have in common: events on the standard output, and uvicorn."""

import asyncio
import json
import os
import signal
import sys
import threading

import uvicorn


def say(**event):
    print(json.dumps(event, separators=(",", ":")), flush=True)


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print("ready", flush=True)


def serve(app, port):
    """Serves until SIGTERM or the end of the input."""

    def end_with_input():
        sys.stdin.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end_with_input, daemon=True).start()
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=1
    )
    asyncio.run(Server(config).serve())
