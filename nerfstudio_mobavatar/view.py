"""`mobavatar view`: show an exported folder on this machine, or to the phones in its network."""

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import tyro

from . import serve


class ViewError(RuntimeError):
    """Nothing was served; the message says why and what to do."""


@dataclass
class View:
    """Serve an exported folder and print its address."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder that `ns-export mobavatar` or `mobavatar site` wrote, or one that holds several of them."""
    port: int = 7010
    """Port; 0 takes a free one."""
    lan: bool = False
    """Serve the whole network instead of this machine alone, over HTTPS, and print a QR code for a phone's camera. The
    certificate is made on this machine: the browser warns once."""

    def main(self) -> None:
        pages = find_pages(self.folder)
        if self.lan:
            self._serve_network(pages)
        else:
            self._serve_this_machine(pages)

    def _serve_this_machine(self, pages: list[str]) -> None:
        with serve.running(self.folder, self.port) as url:
            print(f"Serving {self.folder} until Ctrl+C:")
            for page in pages:
                print(f"  {url}{page}")
            print("For a phone in this network: --lan", flush=True)
            serve.until_interrupted()

    def _serve_network(self, pages: list[str]) -> None:
        from . import lan

        found = lan.addresses()
        if not found:
            raise ViewError("this machine is in no network; connect it, or leave --lan away to view on this machine")
        names = [*found, *serve.LOCAL_NAMES, *filter(str.isascii, [socket.gethostname().lower()])]
        certificate = lan.certificate(lan.user_folder(), names)
        with serve.running(self.folder, self.port, serve.EVERYWHERE, certificate, names) as url:
            port = url.rstrip("/").rpartition(":")[2]
            print(f"Everyone in the network can see {self.folder} until Ctrl+C:")
            for address in found:
                for page in pages:
                    print(f"  https://{address}:{port}/{page}")
            print(lan.qr_code(f"https://{found[0]}:{port}/{pages[0]}"))
            print("The browser warns because this machine made the certificate itself: choose 'Advanced' or 'Details',")
            print("then go on to the page. If nothing loads, this machine's firewall blocks the port.", flush=True)
            serve.until_interrupted()


def find_pages(folder: Path) -> list[str]:
    """Relative addresses of the pages in `folder` itself ("") or in the folders directly inside it.

    Raises `ViewError` where there is none: a folder that was not meant for it is not served by mistake.
    """
    if not folder.is_dir():
        raise ViewError(f"{folder}: no such folder; export an avatar first (ns-export mobavatar)")
    if (folder / "index.html").is_file():
        return [""]
    pages = sorted(p.parent.name for p in folder.glob("*/index.html") if not p.parent.name.startswith("."))
    if not pages:
        raise ViewError(
            f"{folder}: neither it nor a folder in it has an index.html; expected a folder that 'ns-export mobavatar' "
            "or 'mobavatar site' wrote"
        )
    return [f"{quote(name)}/" for name in pages]
