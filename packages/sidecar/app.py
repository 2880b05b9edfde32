"""The same app in another language, on nothing but Python's standard library: the sidecar in front of it is the same, too.

It knows as little as app.ts: no log, no limit, no token, no cache. It listens on a Unix socket, or on loopback, and says where.
"""

import json
import os
import socket
import socketserver
import time
from http.server import BaseHTTPRequestHandler

asked = 0


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        global asked
        path = self.path.split("?")[0]
        if path == "/api/data":
            self.answer(200, {"data": "some important data"})
        elif path == "/menu":
            asked += 1
            self.answer(200, {"dish": "noodle soup", "asked": asked}, {"Cache-Control": "max-age=60"})
        elif path == "/echo":
            self.answer(200, {"method": self.command, "url": self.path, "headers": self.lower(), "bytes": 0})
        elif path == "/events":
            self.stream()
        elif path == "/hang":
            time.sleep(3600)
        else:
            self.answer(404, {"error": "nothing here"})

    def do_POST(self):
        if "Content-Length" not in self.headers:  # this server of the standard library does not read chunks
            self.close_connection = True
            return self.answer(411, {"error": "how long is it?"})
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/orders":
            self.answer(201, {"ordered": json.loads(body)})
        else:
            self.answer(200, {"method": "POST", "url": self.path, "headers": self.lower(), "bytes": len(body)})

    def stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for n in range(1, 1000):
            self.wfile.write(f"data: {n}\n\n".encode())
            time.sleep(0.2)

    def answer(self, status, value, headers={}):
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", "Content-Length": len(body), **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def lower(self):
        return {name.lower(): value for name, value in self.headers.items()}

    def log_message(self, *_):
        pass  # that is the sidecar's business


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_):
        pass  # whoever asked has left


path = os.environ.get("APP_SOCKET")
if path:
    Server.address_family = socket.AF_UNIX
    if os.path.exists(path):
        os.remove(path)  # what an app that was killed has left behind
server = Server(path or ("127.0.0.1", int(os.environ.get("APP_PORT", 0))), App)
print("listening on", f"unix://{path}" if path else f"http://127.0.0.1:{server.server_address[1]}", flush=True)
server.serve_forever()
