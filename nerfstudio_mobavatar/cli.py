"""The `mobavatar` command: everything that is not already one of nerfstudio's commands.

Each command is a dataclass with a `main`. Only the module of the command that was asked for is imported: some take
seconds, since they bring torch.
"""

import sys
import warnings
from importlib import import_module
from typing import Any

import tyro

from .user_errors import PACKAGE, user_errors

COMMANDS = {
    "convert": ("web_export.exchange.convert", "Convert"),
    "convert-capture": ("convert_capture", "ConvertCapture"),
    "convert-pose": ("convert_pose", "ConvertPose"),
    "demo": ("demo.road", "Demo"),
    "demo-data": ("demo.capture", "DemoData"),
    "doctor": ("doctor.command", "Doctor"),
    "export": ("web_export.export", "ExportMobavatar"),
    "info": ("web_export.exchange.info", "Info"),
    "render-web": ("web_export.render_web", "RenderWeb"),
    "site": ("web_export.site", "Site"),
    "view": ("view", "View"),
}
"""Name, module and class."""


def command_class(name: str) -> Any:
    """The class of one command."""
    module, attribute = COMMANDS[name]
    return getattr(import_module(f"{PACKAGE}.{module}"), attribute)


def parse(arguments: list[str]) -> Any:
    """The command that the arguments ask for, filled in; help for all of them where they name none."""
    if arguments and arguments[0] in COMMANDS:
        return tyro.cli(command_class(arguments[0]), prog=f"mobavatar {arguments[0]}", args=arguments[1:])
    every = {name: command_class(name) for name in COMMANDS}
    return tyro.extras.subcommand_cli_from_dict(every, description=__doc__, args=arguments)


def main() -> None:
    """Entry point. User errors end with their message and exit code 1, not with a stack trace."""
    # nerfstudio 1.1.5 uses it while it is imported; whoever runs a command can do nothing about it
    warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)
    command = parse(sys.argv[1:])
    with user_errors("mobavatar"):
        command.main()


if __name__ == "__main__":
    main()
