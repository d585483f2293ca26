"""Servers for the check of packages. `names.py`: DNS on 127.0.0.1 that knows *.example. `names.py hook PORT`: HTTP that answers every POST."""

import http.server
import socket
import struct
import sys


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()


def serve_names():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    while True:
        query, client = server.recvfrom(2048)
        end = 12
        while query[end]:
            end += query[end] + 1
        (kind,) = struct.unpack(">H", query[end + 1 : end + 3])
        known = query[12:end].endswith(b"\x07example")
        answers = 1 if known and kind == 1 else 0
        head = query[:2] + (b"\x81\x80" if known else b"\x81\x83") + struct.pack(">HHHH", 1, answers, 0, 0)
        address = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 5, 4) + socket.inet_aton("127.0.0.1")
        server.sendto(head + query[12 : end + 5] + address * answers, client)


if sys.argv[1:2] == ["hook"]:
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[2])), Hook).serve_forever()
serve_names()
