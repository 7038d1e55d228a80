"""Slow, silent and endless clients of the web server: nobody waits for them, and they do not stay for ever."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from nerfstudio_mobavatar import clients, serve

from .test_serve import AVATAR, SCRIPT, SECONDS, ask, say


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text("<!doctype html><p>front")
    (folder / "avatar.mobavatar").write_bytes(AVATAR)
    (folder / "viewer.js").write_bytes(SCRIPT)
    return folder


@pytest.fixture(scope="module")
def url(page: Path) -> Iterator[str]:
    with serve.running(page) as address:
        yield address


def crowd(url: str, count: int, opening: bytes, window: int = 4096) -> list[socket.socket]:
    """Clients that have sent `opening` and read next to nothing."""
    made = []
    for _ in range(count):
        client = socket.create_connection((serve.LOCALHOST, urlsplit(url).port or 0), timeout=SECONDS)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        client.sendall(opening)
        made.append(client)
    return made


def test_slow_clients_keep_nobody_waiting(url: str) -> None:
    """200 that send a request byte by byte, 100 that take a big file so: more than there are worker threads."""
    request = b"GET /avatar.mobavatar HTTP/1.1\r\nHost: localhost\r\n"
    slow, readers = crowd(url, 200, request[:1]), crowd(url, 100, request + b"\r\n")
    try:
        for i in range(1, 6):
            for client in slow:
                client.sendall(request[i : i + 1])
            for client in readers:
                assert len(client.recv(1)) == 1
            started = time.monotonic()
            assert ask(url, "avatar.mobavatar").body == AVATAR
            assert ask(url, "index.html").status == 200
            assert time.monotonic() - started < SECONDS / 2
    finally:
        for client in slow + readers:
            client.close()


def is_closed(client: socket.socket) -> bool:
    """Whether the server ends the connection before the time-out."""
    try:
        while client.recv(1 << 20):
            pass
    except TimeoutError:
        return False
    except ConnectionResetError:
        pass
    return True


def test_no_client_takes_for_ever(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "REQUEST_SECONDS", 0.5)
    monkeypatch.setattr(clients, "STALL_SECONDS", 1.0)
    request = b"GET /viewer.js HTTP/1.1\r\nHost: localhost\r\n"
    with serve.running(page) as url:
        silent, half, second, body = (crowd(url, 1, opening)[0] for opening in (
            b"", request, request + b"\r\n" + request, request + b"Content-Length: 99999\r\n\r\n"))  # fmt: skip
        whole = b"GET /avatar.mobavatar HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        taking, reader = crowd(url, 2, whole, window=100_000)
        received, end = 0, time.monotonic() + 1.6
        while time.monotonic() < end:  # who takes a little now and then is served; whoever sends that is not
            received += len(reader.recv(400_000))
            for client in (half, body):
                with suppress(OSError):
                    client.sendall(b"x")
            time.sleep(0.1)
        for client in (silent, half, second, body):
            client.settimeout(0.2)
        assert all(map(is_closed, (silent, half, second, body)))
        got = 0
        with suppress(ConnectionResetError):
            while chunk := taking.recv(1 << 20):
                got += len(chunk)
        assert 0 < got < len(AVATAR), "nothing was taken of it for a second"
        while chunk := reader.recv(1 << 20):
            received += len(chunk)
        assert received > len(AVATAR)


def test_the_one_that_dawdles_longest_makes_room(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "MOST_CLIENTS", 8)
    with serve.running(page) as url:
        waiting = crowd(url, 8, b"GET /")
        time.sleep(0.2)
        assert ask(url, "viewer.js").body == SCRIPT
        for client in waiting:
            client.settimeout(0.2)
        assert [is_closed(client) for client in waiting] == [True] + 7 * [False]


def test_memory_stays_small_while_big_files_are_sent(tmp_path: Path) -> None:
    """20 clients that take 100 MB each and stop: what waits for them is a chunk, not the file."""
    with (tmp_path / "big.bin").open("wb") as file:
        file.truncate(100_000_000)
    with serve.running(tmp_path) as url:
        before = psutil.Process().memory_info().rss
        taking = crowd(url, 20, b"GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(0.5)
        assert ask(url, "big.bin", Range="bytes=99999990-").body == bytes(10)
        assert psutil.Process().memory_info().rss - before < 50_000_000
        for client in taking:
            client.close()


def test_heads_without_end_or_sense_are_refused(url: str) -> None:
    for endless in (b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: ", b"GET /"):
        client = crowd(url, 1, endless + b"x" * 20_000)[0]
        assert client.recv(65536).split()[1] == b"400"
        client.close()
    assert say(url, "GET / HTTP/1.1", "Host: localhost", "Content-Length: 3", "Content-Length: 4").split()[1] == b"400"
    assert say(url, "GET / HTTP/1.1").split()[1] == b"400", "HTTP/1.1 without a host"
    assert say(url, "GET / HTTP/1.0").split()[1] == b"400"
    assert ask(url).status == 200
