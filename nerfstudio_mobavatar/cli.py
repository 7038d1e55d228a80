"""The `mobavatar` command: everything that is not already one of nerfstudio's commands."""

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


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
        print(f"  trained range of the pose inputs: {'stored' if 'input_range' in header else 'not stored'}")
        for entry in header["sections"]:
            shape = " x ".join(map(str, entry["shape"]))
            print(f"  {entry['name']:<16} {entry['dtype']:<8} {shape:<18} {entry['stored_bytes'] / 1e6:8.3f} MB")
        for key, value in header["meta"].items():
            print(f"  {key}: {value}")


def main() -> None:
    """Entry point. User errors end with their message and exit code 1, not with a stack trace."""
    # nerfstudio 1.1.5 uses it while it is imported; whoever runs a command can do nothing about it
    warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)
    from .body_file import BodyFileError
    from .capture import CaptureError
    from .convert_capture import ConvertCapture
    from .convert_pose import ConvertPose
    from .demo.capture import DemoData
    from .demo.road import Demo, DemoError
    from .doctor.command import Doctor
    from .motion import MotionError
    from .view import View, ViewError
    from .web_export.bundle import BundleError
    from .web_export.export import ExportError, ExportMobavatar
    from .web_export.render_web import RenderError, RenderWeb
    from .web_export.site import Site

    commands = {
        "convert-capture": ConvertCapture,
        "convert-pose": ConvertPose,
        "demo": Demo,
        "demo-data": DemoData,
        "doctor": Doctor,
        "export": ExportMobavatar,
        "info": Info,
        "render-web": RenderWeb,
        "site": Site,
        "view": View,
    }
    command = tyro.extras.subcommand_cli_from_dict(commands, description=__doc__)
    expected = (BodyFileError, BundleError, CaptureError, DemoError, ExportError, MotionError, RenderError, ViewError)
    try:
        command.main()
    except (*expected, OSError) as error:
        sys.exit(f"mobavatar: {error}")


if __name__ == "__main__":
    main()
