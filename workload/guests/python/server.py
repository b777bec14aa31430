"""The driver of servers: HTTP on the address in the first argument."""

import http.server
import socket
import socketserver
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A response in two writes meets Nagle's algorithm and the client's delayed
    # acknowledgement.
    wbufsize = -1
    answer = None

    def do_POST(self):
        if self.path != "/":
            self.send_error(404)
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self.send_error(411)
            return
        body = type(self).answer(self.rfile.read(int(length)))
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self):
        self.send_error(405 if self.path == "/" else 404)

    do_GET = do_HEAD = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = refuse

    def log_message(self, format, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 1024  # the default of 5 drops connections under load
    allow_reuse_port = False

    def server_bind(self):
        # HTTPServer asks the resolver for its own name, which can take seconds.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]


def main(answer):
    if len(sys.argv) != 2:
        sys.exit("server: give the address to listen on as the one argument")
    host, _, port = sys.argv[1].rpartition(":")
    if ":" in host:
        Server.address_family = socket.AF_INET6
    Handler.answer = staticmethod(answer)
    try:
        server = Server((host.strip("[]"), int(port)), Handler)
    except (OSError, ValueError, OverflowError) as error:
        sys.exit(f"server: listening on {sys.argv[1]}: {error}")
    server.serve_forever()
