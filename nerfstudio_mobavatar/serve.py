"""A static web server for looking at exported folders on this machine. Any other static server does as well."""

import functools
import http.server
import threading
from pathlib import Path


class _Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".mobavatar": "application/octet-stream",
        ".js": "text/javascript",
    }

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: one line per request would bury the progress bars."""

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")  # a folder that was exported again must not show the old avatar
        super().end_headers()


def start(folder: Path, port: int = 0) -> tuple[http.server.ThreadingHTTPServer, str]:
    """Serve `folder` on localhost from a background thread. Port 0 takes a free one. Returns server and URL.

    Raises `OSError` naming the port when it is taken.
    """
    handler = functools.partial(_Handler, directory=str(folder))
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise OSError(f"port {port} on this machine cannot be used ({error}); choose another with --port") from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://localhost:{server.server_address[1]}/"
