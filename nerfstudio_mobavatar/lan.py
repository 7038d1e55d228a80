"""What a phone in the same network needs to open a page from this machine: addresses, a certificate, a QR code.

Browsers offer WebGPU on HTTPS only (localhost apart), so the certificate is made here and signed by itself: the browser
warns once, and whoever goes on has an encrypted connection to this machine.
"""

import ipaddress
import os
import socket
import stat
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from io import StringIO
from pathlib import Path

import platformdirs
import psutil
import segno
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = timedelta(days=365)
"""Apple's browsers refuse certificates of more than 825 days, public ones of more than 398."""
RENEW_BEFORE = timedelta(days=7)
CERTIFICATE_FILE = "lan.pem"


def user_folder() -> Path:
    """Where the certificate is kept between runs, so that a phone is warned once and not every time."""
    return platformdirs.user_cache_path("nerfstudio-mobavatar")


def addresses() -> list[str]:
    """IPv4 addresses under which the network sees this machine, the one on the way to the internet first."""
    up = {name for name, stats in psutil.net_if_stats().items() if stats.isup}
    found = [
        entry.address
        for name, entries in psutil.net_if_addrs().items()
        for entry in entries
        if name in up and entry.family == socket.AF_INET
    ]
    usable = [a for a in found if not (ipaddress.ip_address(a).is_loopback or ipaddress.ip_address(a).is_link_local)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # UDP: asks the routing table and sends nothing (RFC 5737's test network)
            first = probe.getsockname()[0]
        except OSError:
            first = ""  # no way out: any order will do
    return sorted(dict.fromkeys(usable), key=lambda address: address != first)


def certificate(folder: Path, names: Sequence[str]) -> Path:
    """A PEM file with a private key and its certificate for `names` (IP addresses, host names), in `folder`.

    An earlier one is kept while it covers all names and stays valid for a week. Only this user can read the file.
    Raises `OSError` where the folder cannot be written.
    """
    path = folder / CERTIFICATE_FILE
    if _is_good(path, names):
        return path
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder)  # mode 0600 from the start
    with os.fdopen(handle, "wb") as file:
        file.write(_make(names))
    Path(temporary).replace(path)
    return path


def _make(names: Sequence[str]) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mobavatar view (this machine)")])
    now = datetime.now(timezone.utc)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # a phone's clock may be behind
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + built.public_bytes(serialization.Encoding.PEM)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _is_good(path: Path, names: Sequence[str]) -> bool:
    """Whether the file is a certificate for all `names`, valid a while longer, readable by its owner only."""
    if not path.is_file() or stat.S_IMODE(path.stat().st_mode) & 0o077:
        return False
    data = path.read_bytes()
    try:
        serialization.load_pem_private_key(data, password=None)
        known = x509.load_pem_x509_certificate(data)
        covered = known.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False  # damaged, or somebody else's: a new one costs nothing
    return set(map(_general_name, names)) <= set(covered) and (
        known.not_valid_after_utc > datetime.now(timezone.utc) + RENEW_BEFORE
    )


def qr_code(text: str) -> str:
    """`text` as lines of half blocks for a terminal."""
    out = StringIO()
    segno.make_qr(text, error="L").terminal(out, border=2, compact=True)
    return out.getvalue()
