"""A web server for one folder: what `mobavatar view`, the demo, the tests and the benchmarks look at pages with.

starlette answers (byte ranges, ETags, nothing outside the folder), uvicorn speaks HTTP in one thread of its own, where
a slow client costs memory but nobody's turn, and not for ever (clients.py). Pages may talk to nobody but this server.
Any other static server shows an exported folder as well.
"""

import errno
import logging
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .clients import PatientProtocol

LOCALHOST = "127.0.0.1"
EVERYWHERE = "0.0.0.0"
LOCAL_NAMES = ("localhost", LOCALHOST)
"""What a browser on this machine calls it; another site's name that points here (DNS rebinding) gets nothing."""

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".mobavatar": "application/octet-stream",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".wgsl": "text/wgsl; charset=utf-8",
}
"""Not the system's table: it differs between machines, and a browser runs no script called text/plain."""
HEADERS = {
    # ask every time: a folder exported again must show the new avatar. No name here says what is in the file
    "cache-control": "no-cache",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",  # other sites cannot show or time the files of this machine
    # a folder may come from a stranger. Exported pages allow themselves less; this is for all others, which may run
    # what they bring along, WebAssembly included, and send nothing anywhere
    "content-security-policy": (
        "default-src 'self' data: blob: 'unsafe-inline' 'wasm-unsafe-eval'; object-src 'none'; base-uri 'self'; "
        "form-action 'self'; frame-ancestors 'self'"
    ),
}
"""Of every answer."""
GZIP_LEVEL = 6
SHUTDOWN_SECONDS = 1
START_SECONDS = 30


class _Folder(StaticFiles):
    """Files below one folder; none whose name, or that of a folder on the way, starts with a dot."""

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        if any(part.startswith(".") for part in PurePath(path).parts):
            return "", None
        try:
            return super().lookup_path(path)
        except OSError as error:
            if error.errno == errno.ELOOP:  # a link to itself
                return "", None
            raise

    async def get_response(self, path: str, scope: Scope) -> Response:
        try:
            return await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code == 401:  # a file that this user may not read; 401 would ask the visitor to log in
                raise HTTPException(403) from error
            raise

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        media_type = MEDIA_TYPES.get(PurePath(full_path).suffix.lower())
        if media_type and "content-type" in response.headers:  # 304 has none
            response.headers["content-type"] = media_type
        return response


class _Frame:
    """Around every answer: the headers that all of them carry, and a trace on the terminal where one fails."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                # no longer the file's bytes, of which ranges are
                if "content-encoding" in headers and "etag" in headers:
                    headers["etag"] = f"W/{headers['etag']}"
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception:
            logging.getLogger(__name__).exception("%s could not be served", scope["path"])
            raise  # becomes status 500


def application(folder: Path, hosts: Sequence[str] = LOCAL_NAMES) -> Starlette:
    """The ASGI application that serves `folder` to whoever calls this machine by one of `hosts` ("*": by any name)."""
    packed = (*DEFAULT_EXCLUDED_CONTENT_TYPES, "application/octet-stream")  # avatars are compressed already
    return Starlette(
        routes=[Mount("/", _Folder(directory=folder, html=True))],
        middleware=[
            Middleware(_Frame),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False),
            Middleware(GZipMiddleware, compresslevel=GZIP_LEVEL, exclude_content_types=packed),
        ],
    )


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises `OSError` that names a port in use and says what to do."""
    if not 0 <= port <= 65535:
        raise OSError(f"port {port} does not exist; --port takes 1 to 65535, or 0 for a free one")
    try:
        return socket.create_server((host, port), backlog=512)
    except PermissionError as error:
        raise OSError(f"port {port} is for the system's own servers; choose one from 1024 up with --port") from error
    except OSError as error:
        raise OSError(
            f"port {port} on this machine cannot be used ({error.strerror}): another server has it, perhaps an earlier "
            "'mobavatar view'. Stop that one, or choose another with --port (0 takes a free one)"
        ) from error


@contextmanager
def running(
    folder: Path,
    port: int = 0,
    host: str = LOCALHOST,
    certificate: Path | None = None,
    names: Sequence[str] = LOCAL_NAMES,
) -> Iterator[str]:
    """Serve `folder` from a background thread until the block ends; gives the address with a closing slash.

    `host` is the address to listen on, `names` what clients may call this machine. `certificate` is a PEM file with key
    and certificate: HTTPS instead of HTTP. Raises `OSError` as `bind` does.
    """
    listener = bind(host, port)
    app = application(folder, names)
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",  # no line per request or per client that is cut off at the end; failures: see _Frame
        access_log=False,
        server_header=False,
        lifespan="off",
        http=PatientProtocol,
        ws="none",
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        ssl_certfile=certificate,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    scheme = "http" if certificate is None else "https"
    address = f"{scheme}://localhost:{listener.getsockname()[1]}/"
    thread.start()  # the socket listens already: a request that comes before the thread is ready waits
    try:
        yield address
    finally:
        server.should_exit = True
        thread.join(START_SECONDS)
        listener.close()


def until_interrupted() -> None:
    """Stay until Ctrl+C."""
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print(flush=True)  # the terminal shows ^C on the line
