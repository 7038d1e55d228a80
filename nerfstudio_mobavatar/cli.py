"""The `mobavatar` command: everything that is not already one of nerfstudio's commands.

Each command is a dataclass with a `main`. Only the module of the command that was asked for is imported: some take
seconds, since they bring torch.
"""

import ast
import sys
import warnings
from dataclasses import make_dataclass
from importlib import import_module
from importlib.util import find_spec
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
    "make-template": ("make_template", "MakeTemplate"),
    "render-web": ("web_export.render_web", "RenderWeb"),
    "site": ("web_export.site", "Site"),
    "view": ("view", "View"),
    "webcam": ("web_export.webcam", "Webcam"),
}
"""Name, module and class."""


def command_class(name: str) -> Any:
    """The class of one command."""
    module, attribute = COMMANDS[name]
    return getattr(import_module(f"{PACKAGE}.{module}"), attribute)


def described(name: str) -> Any:
    """A class in place of a command's own that has only its docstring, read from the source without running it."""
    module, attribute = COMMANDS[name]
    spec = find_spec(f"{PACKAGE}.{module}")
    source = getattr(spec and spec.loader, "get_source", lambda _: None)(f"{PACKAGE}.{module}")
    tree = ast.parse(source or "")
    found = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == attribute)
    return make_dataclass(attribute, (), namespace={"__doc__": next(map(ast.get_docstring, found), None)})


def parse(arguments: list[str]) -> Any:
    """The command that the arguments ask for, filled in; help for all of them where they name none."""
    if arguments and arguments[0] in COMMANDS:
        return tyro.cli(command_class(arguments[0]), prog=f"mobavatar {arguments[0]}", args=arguments[1:])
    # shells complete the options too: tyro has to see them; for a list of the commands their words are enough
    get = command_class if any(argument.startswith("--tyro-") for argument in arguments) else described
    every = {name: get(name) for name in COMMANDS}
    return tyro.extras.subcommand_cli_from_dict(every, prog="mobavatar", description=__doc__, args=arguments)


def main() -> None:
    """Entry point. User errors end with their message and exit code 1, not with a stack trace."""
    # nerfstudio 1.1.5 uses it while it is imported; whoever runs a command can do nothing about it
    warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)
    command = parse(sys.argv[1:])
    with user_errors("mobavatar"):
        command.main()


if __name__ == "__main__":
    main()
