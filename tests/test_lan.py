"""Showing a page to the network: a certificate that browsers take, kept private, and a QR code that reads back."""

import os
import ssl
import stat
import subprocess
import sys
import urllib.request
from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from nerfstudio_mobavatar import cli, lan, serve

from .browser import NO_CHROMIUM, avatar_page, browser, chromium

NAMES = ["192.0.2.7", "10.1.2.3", "localhost", "a-machine"]
SECONDS = 20
DETECTOR = cv2.QRCodeDetectorAruco
"""OpenCV's other detector does not find one code in 400, whose text depends on the port."""


def test_addresses_are_those_of_the_network() -> None:
    found = lan.addresses()
    assert len(set(found)) == len(found)
    assert not [address for address in found if address.startswith(("127.", "169.254."))]


def trusting(certificate: Path) -> ssl.SSLContext:
    """Trusts this certificate only, and checks names."""
    return ssl.create_default_context(cafile=str(certificate))


def test_certificate_is_private_and_covers_the_names(tmp_path: Path) -> None:
    path = lan.certificate(tmp_path / "new" / "folder", NAMES)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    for name, good in [*((name, True) for name in NAMES), ("192.0.2.8", False), ("evil.example", False)]:
        assert handshake(context, trusting(path), name) is good, name


def handshake(server_context: ssl.SSLContext, client_context: ssl.SSLContext, name: str) -> bool:
    """Whether a client that calls the server by `name` accepts its certificate."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return client.version() is not None


def test_certificate_is_kept_while_it_is_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lan.certificate(tmp_path, NAMES)
    first = path.read_bytes()
    assert lan.certificate(tmp_path, NAMES[:2]).read_bytes() == first
    path.chmod(0o644)
    second = lan.certificate(tmp_path, NAMES).read_bytes()
    assert second != first, "others could read the key"
    third = lan.certificate(tmp_path, [*NAMES, "192.0.2.99"]).read_bytes()
    assert third != second, "the machine has another address now"
    path.write_bytes(third[: len(third) // 2])
    fourth = lan.certificate(tmp_path, NAMES).read_bytes()
    assert len(fourth) > len(third) / 2, "half a file is replaced"
    monkeypatch.setattr(lan, "RENEW_BEFORE", lan.VALID + timedelta(days=1))
    assert lan.certificate(tmp_path, NAMES).read_bytes() != fourth, "it ends too soon"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def picture_of(text: str) -> np.ndarray:
    """What a light-on-dark terminal shows of half blocks, 8 pixels a module."""
    upper, lower = {" ": 0, "▀": 1, "▄": 0, "█": 1}, {" ": 0, "▀": 0, "▄": 1, "█": 1}
    rows = [[table[c] for c in line] for line in text.splitlines() for table in (upper, lower)]
    return np.kron(np.array(rows, np.uint8) * 255, np.ones((8, 8), np.uint8))


def test_qr_code_reads_back() -> None:
    text = "https://192.168.178.42:7010/a%20person/"
    code = lan.qr_code(text)
    assert max(map(len, code.splitlines())) <= 40, "fits a terminal"
    found, *_ = DETECTOR().detectAndDecode(picture_of(code))
    assert found == text


@pytest.fixture
def page(tmp_path: Path) -> Path:
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html><title>A page</title>")
    return folder


def test_view_lan_serves_the_network_over_https(page: Path, tmp_path: Path) -> None:
    if not lan.addresses():
        pytest.skip("this machine is in no network")
    command = [sys.executable, "-m", "nerfstudio_mobavatar.cli", "view", str(page), "--lan", "--port", "0"]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    try:
        assert process.stdout is not None
        lines: list[str] = []
        while "firewall" not in "".join(lines):
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        address = lines[1].strip()
        assert address.startswith(f"https://{lan.addresses()[0]}:")
        trust = trusting(tmp_path / "cache" / "nerfstudio-mobavatar" / lan.CERTIFICATE_FILE)
        with urllib.request.urlopen(address, timeout=SECONDS, context=trust) as answer:
            assert b"A page" in answer.read()
        code = "".join(line for line in lines if line.strip() and set(line) <= set(" ▀▄█\n"))
        assert DETECTOR().detectAndDecode(picture_of(code))[0] == address
    finally:
        process.kill()
        process.wait()


def test_without_a_network_it_says_so(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lan, "addresses", list)
    monkeypatch.setattr(sys, "argv", ["mobavatar", "view", str(page), "--lan"])
    with pytest.raises(SystemExit, match="mobavatar: this machine is in no network"):
        cli.main()


@pytest.mark.skipif(chromium() is None, reason=NO_CHROMIUM)
def test_a_browser_that_goes_on_gets_webgpu(page: Path, tmp_path: Path) -> None:
    """What --lan is for: the same page over plain HTTP from another address has no WebGPU."""
    certificate = lan.certificate(tmp_path, NAMES)
    ask = "() => [isSecureContext, 'gpu' in navigator]"
    address = next(iter(lan.addresses()), "")
    if not address:
        pytest.skip("this machine is in no network")
    with browser() as opened:
        with serve.running(page, host=serve.EVERYWHERE, certificate=certificate, names=[address]) as url:
            https = url.replace("localhost", address)
            with avatar_page(opened, https, ignore_https_errors=True) as tab:
                assert tab.page.evaluate(ask) == [True, True]
