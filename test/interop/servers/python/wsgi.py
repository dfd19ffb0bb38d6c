"""A WSGI node on python-socketio, on its lines 4 and 5: `wsgi.py PORT NAME MODE`.

MODE is `threading`, served by gunicorn, or `eventlet`, served by itself: threads of line 4 have no
WebSocket.
"""

import json
import os
import signal
import sys
import threading

import socketio

PORT, NAME, MODE = int(sys.argv[1]), sys.argv[2], sys.argv[3]

# The client of line 4 gives up when no pong has come until its next ping: on a busy machine one
# second is too short. The server of line 4 adds 2 seconds to wait for the ping, instead of 5.
ping_interval = (3, 2) if MODE == "eventlet" else 1
sio = socketio.Server(
    async_mode=MODE,
    ping_interval=ping_interval,
    ping_timeout=4,
    max_http_buffer_size=4 * 1024 * 1024,
)
clients = set()
lines = threading.Lock()


def say(**event):
    with lines:
        print(json.dumps(event, separators=(",", ":")), flush=True)


@sio.event
def connect(sid, environ):
    clients.add(sid)
    say(event="connect", id=sid)
    sio.emit("welcome", NAME, to=sid)


@sio.event
def disconnect(sid, reason=None):
    clients.discard(sid)
    say(event="disconnect", id=sid, reason=reason)


@sio.event
def echo(sid, payload):
    return payload


@sio.event
def whoami(sid, *_):
    return NAME


@sio.on("clients")
def count_clients(sid, *_):
    return len(clients)


@sio.event
def broadcast(sid, text):
    sio.emit("broadcasted", text)


@sio.event
def stream(sid, count):
    for n in range(count):
        sio.emit("n", n, to=sid)


@sio.event
def leave(sid, *_):
    sio.disconnect(sid)


def ready(pid):
    """Says so, and ends a process when the input ends."""

    def end_with_input():
        sys.stdin.read()
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            # gunicorn was killed: its worker would hold the port for another second.
            os._exit(1)

    threading.Thread(target=end_with_input, daemon=True).start()
    print("ready", flush=True)


def serve_threading(app):
    """As `gunicorn --workers 1 --threads 100` does."""
    from gunicorn.app.base import BaseApplication

    class Gunicorn(BaseApplication):
        def load_config(self):
            settings = {
                "bind": f"127.0.0.1:{PORT}",
                "workers": 1,
                "threads": 100,
                "graceful_timeout": 1,
                "loglevel": "warning",
                "post_worker_init": lambda worker: ready(worker.ppid),
            }
            for name, value in settings.items():
                self.cfg.set(name, value)

        def load(self):
            return app

    Gunicorn().run()


def serve_eventlet(app):
    import eventlet
    from eventlet import wsgi

    socket = eventlet.listen(("127.0.0.1", PORT))
    ready(os.getpid())
    wsgi.server(socket, app, log_output=False)


{"threading": serve_threading, "eventlet": serve_eventlet}[MODE](socketio.WSGIApp(sio))
