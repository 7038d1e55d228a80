"""Adds `mobavatar` to the subcommands of nerfstudio's `ns-export`.

nerfstudio has no entry point for exporters: `ns-export` calls `tyro.cli(Commands)` with a fixed union. Plugins are
discovered before that union exists, so `tyro.cli` is wrapped once, and when it is handed exactly that union, the union
is rebuilt with our member and written back to nerfstudio's module, so that another plugin doing the same keeps ours.
Should nerfstudio ever call something else, `mobavatar export` still does the work.
"""

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args

from .user_errors import user_errors

EXPORTER_MODULES = ("nerfstudio.scripts.exporter", "__main__")


def install() -> None:
    """Wrap `tyro.cli`; calling it again does nothing."""
    import tyro

    if not getattr(tyro.cli, "adds_mobavatar", False):
        tyro.cli = _wrap(tyro.cli)


def avatar_file_bytes(avatar: Any) -> int:
    """Size of the file that the avatar would be exported to: a pruning budget may be given in these bytes."""
    from .web_export.bundle import encode
    from .web_export.from_avatar import avatar_arrays

    return len(encode(avatar_arrays(avatar, {})))


def _wrap(cli: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(cli)
    def wrapped(f: Any, *args: Any, **kwargs: Any) -> Any:
        for name in EXPORTER_MODULES:
            module = sys.modules.get(name)
            if module is not None and hasattr(module, "ExportGaussianSplat") and getattr(module, "Commands", None) is f:
                module.Commands = f = _with_ours(f)  # pyright: ignore[reportAttributeAccessIssue]
        return cli(f, *args, **kwargs)

    wrapped.adds_mobavatar = True  # pyright: ignore[reportAttributeAccessIssue]
    return wrapped


def _with_ours(commands: Any) -> Any:
    import tyro

    from .web_export.export import ExportMobavatar

    @dataclass
    class Ours(ExportMobavatar):
        def main(self) -> None:
            with user_errors("ns-export"):
                super().main()

    Ours.__doc__ = ExportMobavatar.__doc__
    union, *markers = get_args(commands)
    ours = Annotated[Ours, tyro.conf.subcommand(name="mobavatar")]
    members = Union[(*get_args(union), ours)]  # built from a runtime tuple
    return Annotated[(members, *markers)]  # pyright: ignore[reportReturnType]
