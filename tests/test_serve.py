"""The web server: right bytes and headers, nothing outside the folder, nobody waits for a slow neighbour."""

import gzip
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.staticfiles import StaticFiles

from nerfstudio_mobavatar import cli, serve
from nerfstudio_mobavatar.view import ViewError, find_pages

SECONDS = 20
SECRET = b"outside the folder"
AVATAR = bytes(range(256)) * 40_000
"""10 MB: more than the system's send buffers hold, so that a client that does not read stops the transfer."""
SCRIPT = b"console.log('a page');\n" * 200


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def ask(url: str, path: str = "", method: str = "GET", **headers: str) -> Answer:
    """One request, the path sent as it stands; `a_b` in a header's name is sent as `a-b`."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc.replace("localhost", "127.0.0.1"), timeout=SECONDS)
    host = {} if "Host" in headers else {"Host": urlsplit(url).netloc}
    connection.putrequest(method, "/" + path, skip_host=True, skip_accept_encoding=True)
    for name, value in (host | headers).items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    result = Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    connection.close()
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """root/page is served; root/secret.txt and root/pages must not be."""
    root = tmp_path_factory.mktemp("root")
    folder = root / "page"
    (folder / "sub folder" / ".hidden").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><p>front")
    (folder / "sub folder" / "index.html").write_text("<!doctype html><p>sub")
    (folder / "sub folder" / ".hidden" / "file.txt").write_bytes(SECRET)
    (folder / ".key").write_bytes(SECRET)
    (folder / "avatar.mobavatar").write_bytes(AVATAR)
    (folder / "viewer.js").write_bytes(SCRIPT)
    (folder / "Ärmel 1%2e.json").write_text("{}")
    for name in ("a.wgsl", "a.mjs", "a.css", "a.txt", "a.png", "poster.jpg", "a.wasm", "a.JSON", "a.unknown"):
        (folder / name).write_text("x")
    (root / "secret.txt").write_bytes(SECRET)
    (root / "pages").mkdir()  # a neighbour whose name begins alike
    (root / "pages" / "secret.txt").write_bytes(SECRET)
    (folder / "link.txt").symlink_to(root / "secret.txt")
    (folder / "link").symlink_to(root)
    (folder / "inside.js").symlink_to(folder / "viewer.js")
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "pipe")
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with serve.running(folder) as address:
        yield address


def test_gives_files_and_index_pages(url: str, folder: Path) -> None:
    assert ask(url).body == (folder / "index.html").read_bytes()
    assert ask(url, "avatar.mobavatar").body == AVATAR
    assert ask(url, "sub%20folder/").body.endswith(b"sub")
    moved = ask(url, "sub%20folder")
    assert (moved.status, urlsplit(moved.headers["location"]).path) == (307, "/sub%20folder/")
    assert ask(url, "%C3%84rmel%201%252e.json").body == b"{}"
    assert ask(url, "inside.js").body == SCRIPT
    assert ask(url, "index.html?version=2").status == 200
    head = ask(url, "avatar.mobavatar", method="HEAD")
    assert (head.body, head.headers["content-length"]) == (b"", str(len(AVATAR)))


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("viewer.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.wgsl", "text/wgsl; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.JSON", "application/json"),
        ("a.wasm", "application/wasm"),
        ("a.png", "image/png"),
        ("poster.jpg", "image/jpeg"),
        ("avatar.mobavatar", "application/octet-stream"),
        ("a.unknown", "application/octet-stream"),
    ],
)
def test_says_what_a_file_is(name: str, media_type: str, url: str) -> None:
    headers = ask(url, name, method="HEAD").headers
    assert headers["content-type"] == media_type and headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("wanted", "status", "start", "end"),
    [
        ("bytes=0-99", 206, 0, 100),
        ("bytes=100-", 206, 100, len(AVATAR)),
        ("bytes=-50", 206, len(AVATAR) - 50, len(AVATAR)),
        ("bytes=9999999-99999999", 206, 9_999_999, len(AVATAR)),
        ("bytes=99999999-", 416, 0, 0),
    ],
)
def test_gives_parts_of_a_file(wanted: str, status: int, start: int, end: int, url: str) -> None:
    answer = ask(url, "avatar.mobavatar", Range=wanted)
    assert answer.status == status
    if status == 206:
        assert answer.body == AVATAR[start:end]
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(AVATAR)}"


def test_sends_a_file_again_only_when_it_has_changed(url: str, folder: Path) -> None:
    path = folder / "changing.txt"
    path.write_text("old")
    first = ask(url, path.name)
    assert first.headers["cache-control"] == "no-cache"
    for tag in (first.headers["etag"], f"W/{first.headers['etag']}"):
        again = ask(url, path.name, If_None_Match=tag)
        assert (again.status, again.body, again.headers["cache-control"]) == (304, b"", "no-cache")
    path.write_text("newer")
    changed = ask(url, path.name, If_None_Match=first.headers["etag"])
    assert (changed.status, changed.body) == (200, b"newer")
    part = ask(url, path.name, Range="bytes=1-2", If_Range=first.headers["etag"])
    assert (part.status, part.body) == (200, b"newer"), "a part of the new file must not be glued to the old one"


def test_packs_text_and_leaves_the_avatar_as_it_is(url: str) -> None:
    packed = ask(url, "viewer.js", Accept_Encoding="gzip, br")
    assert packed.headers["content-encoding"] == "gzip" and packed.headers["vary"] == "Accept-Encoding"
    assert len(packed.body) < len(SCRIPT) / 5 and gzip.decompress(packed.body) == SCRIPT
    assert packed.headers["etag"] == f"W/{ask(url, 'viewer.js').headers['etag']}"
    assert ask(url, "viewer.js", Accept_Encoding="gzip", If_None_Match=packed.headers["etag"]).status == 304
    assert "content-encoding" not in ask(url, "viewer.js").headers
    avatar = ask(url, "avatar.mobavatar", Accept_Encoding="gzip")
    assert "content-encoding" not in avatar.headers and avatar.headers["content-length"] == str(len(AVATAR))
    part = ask(url, "viewer.js", Accept_Encoding="gzip", Range="bytes=8-19")
    assert (part.status, part.body) == (206, SCRIPT[8:20])


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "../pages/secret.txt",
        "%2e%2e/secret.txt",
        "%2e%2e%2fsecret.txt",
        "..%2fsecret.txt",
        "sub%20folder/../../secret.txt",
        "sub%20folder/..%2f..%2fsecret.txt",
        "%252e%252e/secret.txt",
        "..%5csecret.txt",
        "%25252e%25252e/secret.txt",
        "%2e%2e%5c%2e%2e%5csecret.txt",
        "sub%20folder\\..\\..\\secret.txt",
        "%c0%ae%c0%ae/secret.txt",
        "..;/secret.txt",
        "%u002e%u002e/secret.txt",
        "./.%2e/secret.txt",
        "//../secret.txt",
        "~root/.profile",
        "loop",
        "loop/secret.txt",
        "pipe",
        "/etc/hostname",
        "%2fetc%2fhostname",
        "link.txt",
        "link/secret.txt",
        ".key",
        "sub%20folder/.hidden/file.txt",
        "sub%20folder/%2ehidden/file.txt",
        "index.html%00.txt",
        "%ff%fe",
        "a" * 5000,
        "nothing",
    ],
)
def test_nothing_outside_the_folder(path: str, url: str) -> None:
    answer = ask(url, path)
    assert answer.status == 404 and SECRET not in answer.body


def test_only_reads(url: str, folder: Path) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get", "X"):
        answer = ask(url, "index.html", method=method, Content_Length="0")
        assert answer.status == 405 and b"front" not in answer.body
    assert (folder / "index.html").is_file()


def say(url: str, *lines: str) -> bytes:
    """What comes back for a request that http.client would not send, until the server is silent or closes."""
    with socket.create_connection((serve.LOCALHOST, urlsplit(url).port or 0), timeout=SECONDS) as client:
        client.sendall("".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n")
        received = b""
        while chunk := client.recv(65536):
            received += chunk
    return received


@pytest.mark.parametrize(
    "target",
    ["http://evil.example/secret.txt", "file:///etc/hostname", "//evil.example/../secret.txt", "../secret.txt", "*",
     "/../secret.txt", "\\..\\secret.txt", "/index.html\0/../../secret.txt", "http:/../secret.txt", "?", "#"],
)  # fmt: skip
def test_targets_that_are_no_paths_get_nothing_of_others(target: str, url: str) -> None:
    answer = say(url, f"GET {target} HTTP/1.1", "Host: localhost", "Connection: close")
    status = int(answer.split()[1])
    assert status in (400, 404) or b"front" in answer or b"location: http://localhost/" in answer, answer[:300]
    assert SECRET not in answer and status < 500
    assert say(url, "CONNECT evil.example:443 HTTP/1.1", "Host: localhost", "Connection: close").split()[1] in (
        b"400", b"404", b"405")  # fmt: skip


def test_every_answer_says_what_pages_may_do(url: str) -> None:
    for path in ("", "avatar.mobavatar", "nothing", "sub%20folder"):
        headers = ask(url, path).headers
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        policy = headers["content-security-policy"]
        assert "default-src 'self' data: blob:" in policy and "'unsafe-eval'" not in policy
        assert "http" not in policy and "*" not in policy and "frame-ancestors 'self'" in policy


def test_several_parts_and_absurd_ones(url: str) -> None:
    answer = ask(url, "viewer.js", Range="bytes=0-999,1100-1999,-5", Accept_Encoding="gzip")
    assert answer.status == 206 and "content-encoding" not in answer.headers
    assert len(answer.body) == int(answer.headers["content-length"])
    boundary = answer.headers["content-type"].partition("boundary=")[2].encode()
    parts = [part.partition(b"\r\n\r\n")[2].rstrip(b"\r\n") for part in answer.body.split(b"--" + boundary)[1:-1]]
    assert parts == [SCRIPT[:1000], SCRIPT[1100:2000], SCRIPT[-5:].rstrip(b"\n")]
    started = time.monotonic()
    for absurd, status in {
        "bytes=" + ",".join(f"{i}-{i}" for i in range(3000)): 200,  # too many to be meant: the file as it is
        "bytes=" + "0-," * 99 + "0-": 206,
        "bytes=" + "9" * 5000 + "-": 400,
        "bytes=-99999999999999999999": 206,
        "bytes=5-2": 400,
        "bytes=--5": 416,
        "bytes=": 400,
        "bytes=a-b": 400,
        "lines=1-2": 400,
        "x" * 9000: 400,
    }.items():
        answer = ask(url, "viewer.js", Range=absurd)
        assert answer.status == status, absurd[:60]
        if status < 400:
            assert answer.body == SCRIPT, "once, whatever overlaps"
    assert time.monotonic() - started < SECONDS


def test_a_date_will_do_where_there_is_no_tag(url: str) -> None:
    modified = ask(url, "viewer.js").headers["last-modified"]
    assert ask(url, "viewer.js", If_Modified_Since=modified).status == 304
    assert ask(url, "viewer.js", If_Modified_Since="Thu, 01 Jan 1970 00:00:00 GMT").body == SCRIPT
    assert ask(url, "viewer.js", If_Modified_Since="yesterday").body == SCRIPT


def test_a_file_that_may_not_be_read_is_refused_without_asking_for_a_password(url: str, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError  # what the system says to everybody but root, who may run this test

    monkeypatch.setattr(StaticFiles, "lookup_path", refuse)
    answer = ask(url, "index.html")
    assert answer.status == 403 and "www-authenticate" not in answer.headers


def test_a_fault_of_the_server_is_reported(url: str, monkeypatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(StaticFiles, "lookup_path", fail)
    assert ask(url, "viewer.js").status == 500
    assert "/viewer.js could not be served" in caplog.text and "the disk is on fire" in caplog.text


def test_another_sites_name_for_this_machine_gets_nothing(url: str) -> None:
    """DNS rebinding: a foreign page that lets its own name point to 127.0.0.1 must not read the folder."""
    port = urlsplit(url).port
    assert ask(url, Host=f"evil.example:{port}").status == 400
    assert ask(url, Host=f"127.0.0.1:{port}").status == 200


def test_garbage_is_answered_and_harms_nobody(url: str) -> None:
    for garbage in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
        with socket.create_connection((serve.LOCALHOST, urlsplit(url).port or 0), timeout=SECONDS) as client:
            client.sendall(garbage + b"\r\n\r\n")
            client.recv(1000)
    assert ask(url).status == 200


def test_stops_at_once_although_a_client_still_loads(folder: Path) -> None:
    with serve.running(folder) as url:
        port = urlsplit(url).port or 0
        client = socket.create_connection((serve.LOCALHOST, port), timeout=SECONDS)
        client.sendall(b"GET /avatar.mobavatar HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((serve.LOCALHOST, port), timeout=SECONDS)
    client.close()
    with serve.running(folder, port) as again:  # and the port is free for the next one
        assert ask(again).status == 200


def run_cli(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """The message with which the command ends."""
    monkeypatch.setattr(sys, "argv", ["mobavatar", *arguments])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert isinstance(end.value.code, str) and "\n" not in end.value.code
    return end.value.code


def test_a_port_that_cannot_be_used_says_so_and_what_to_do(url: str, folder: Path, monkeypatch) -> None:
    port = urlsplit(url).port
    message = run_cli(monkeypatch, "view", str(folder), "--port", str(port))
    assert f"port {port} on this machine cannot be used" in message and "choose another with --port" in message
    assert "--port takes 1 to 65535" in run_cli(monkeypatch, "view", str(folder), "--port", "70000")


def test_finds_the_pages_of_a_folder_and_refuses_one_without(folder: Path, tmp_path: Path, monkeypatch) -> None:
    assert find_pages(folder) == [""]
    for name in ("b", "a b", ".c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text("")
    assert find_pages(tmp_path) == ["a%20b/", "b/"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ViewError, match="empty: neither it nor a folder in it has an index"):
        find_pages(tmp_path / "empty")
    message = run_cli(monkeypatch, "view", str(tmp_path / "absent"))
    assert "absent: no such folder; export an avatar first" in message


def test_view_prints_the_address_and_ends_quietly_on_ctrl_c(folder: Path) -> None:
    command = [sys.executable, "-m", "nerfstudio_mobavatar.cli", "view", str(folder), "--port", "0"]
    # a shell starts background jobs deaf to Ctrl+C, and so would be what the tests start there
    hearing = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, hearing)
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        assert ask(lines[1].strip()).status == 200
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert (process.returncode, out.strip(), errors) == (0, "", "")
