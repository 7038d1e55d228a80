"""The `mobavatar` command: everything that is not already one of nerfstudio's commands."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass
class View:
    """Serve an exported folder on this machine and print its address."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder that `ns-export mobavatar` wrote (or one that holds several of them)."""
    port: int = 7010
    """Port on localhost; 0 takes a free one."""

    def main(self) -> None:
        from . import serve

        if not self.folder.is_dir():
            raise FileNotFoundError(f"{self.folder}: no such folder; export an avatar first (ns-export mobavatar)")
        server, url = serve.start(self.folder, self.port)
        print(f"Serving {self.folder} at {url} until Ctrl+C", flush=True)
        try:
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            server.shutdown()


@dataclass
class Info:
    """Print what is inside an avatar file: counts, sizes, body, training range."""

    file: Annotated[Path, tyro.conf.Positional]
    """An `avatar.mobavatar`."""

    def main(self) -> None:
        from .web_export import bundle

        data = self.file.read_bytes()
        try:
            header, _ = bundle.read_header(data)
        except bundle.BundleError as error:
            raise bundle.BundleError(f"{self.file}: {error}") from None
        print(f"{self.file}: {len(data) / 1e6:.2f} MB, {header['num_gaussians']:,} Gaussians, "
              f"{header['num_parts']} parts, {header['num_nodes']:,} nodes")  # fmt: skip
        for entry in header["sections"]:
            shape = " x ".join(map(str, entry["shape"]))
            print(f"  {entry['name']:<16} {entry['dtype']:<8} {shape:<18} {entry['stored_bytes'] / 1e6:8.3f} MB")
        for key, value in header["meta"].items():
            print(f"  {key}: {value}")


def main() -> None:
    """Entry point. User errors end with their message and exit code 1, not with a stack trace."""
    from .capture import CaptureError
    from .demo.capture import DemoData
    from .demo.road import Demo, DemoError
    from .web_export.bundle import BundleError
    from .web_export.export import ExportError, ExportMobavatar

    commands = {"demo": Demo, "demo-data": DemoData, "export": ExportMobavatar, "info": Info, "view": View}
    command = tyro.extras.subcommand_cli_from_dict(commands, description=__doc__)
    try:
        command.main()
    except (CaptureError, DemoError, BundleError, ExportError, OSError) as error:
        sys.exit(f"mobavatar: {error}")
