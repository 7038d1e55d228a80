"""A run's `config.yml` read without running anything that is in it, and the run that it describes opened.

nerfstudio writes its config objects with PyYAML's Python tags and reads them back with `yaml.Loader`, which calls
whatever a file names. Here a file may name data classes of nerfstudio and of this package that are loaded already (no
module is imported for a file), enumerations of the same, paths, tuples, and as `_target` or any other class only the
one that the field has by itself. Values must be of the kind that the field has by itself.
"""

import sys
from collections.abc import Hashable
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from .saved_config import RENAMED
from .user_errors import PACKAGE

if TYPE_CHECKING:
    from nerfstudio.engine.trainer import TrainerConfig
    from nerfstudio.pipelines.base_pipeline import Pipeline

TRUSTED = ("nerfstudio", PACKAGE)
MAX_BYTES = 1 << 20
"""A hundred times what training writes."""
PYTHON = "tag:yaml.org,2002:python/"
PATHS = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path", "PurePath")


class RunConfigError(ValueError):
    """A run's configuration that cannot be used. The message says which file, what was found and what to do."""


class _Refused(yaml.YAMLError):
    """What the file names is not allowed or not there."""


class _Name(str):
    """A dotted name that a file gives; never looked up, only compared."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader and the few Python tags of a configuration."""

    def flatten_mapping(self, node: Any) -> None:
        """Merge keys (`<<`), which training never writes, can grow without bound."""
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise _Refused("a merge key '<<', expected plain entries")


def read_config(path: Path) -> "TrainerConfig":
    """The configuration of a run of this package.

    Raises:
        RunConfigError: no such file, damaged, of another method, or it names what a configuration has no use for.
    """
    text = _text(path)
    # the plugins' classes are loaded with it
    from nerfstudio.engine.trainer import TrainerConfig

    from . import configs  # noqa: F401

    try:
        config = yaml.load(text, Loader=_Loader)
    except _Refused as error:
        raise RunConfigError(
            f"{path}: refused to read {error}. Give the config.yml that training wrote; one from a stranger may try to "
            "run code."
        ) from None
    except (yaml.YAMLError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise RunConfigError(f"{path}: expected YAML as training writes it, found {_first(error)}") from error
    if not isinstance(config, TrainerConfig):
        raise RunConfigError(f"{path}: not the configuration of a run; give its config.yml")
    return config


def open_run(path: Path, test_mode: Any = "test") -> "tuple[TrainerConfig, Pipeline, Path, int]":
    """What nerfstudio's `eval_setup` does, with a configuration and a checkpoint that cannot run code: configuration,
    pipeline with the newest checkpoint loaded, the checkpoint's path and its step.

    Raises:
        RunConfigError: see `read_config`; also where the checkpoint is of another avatar.
        CheckpointError: there is none that can be read.
    """
    import torch
    from nerfstudio.utils.rich_utils import CONSOLE

    from . import checkpoints

    config = read_config(path)
    config.load_dir = config.get_checkpoint_dir()
    found = checkpoints.newest(config.load_dir)
    for line in found.damaged:
        CONSOLE.print(f"{line}. THE CHECKPOINT BEFORE IT IS USED INSTEAD: {found.path.name}", markup=False)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pipeline = config.pipeline.setup(device=device, test_mode=test_mode)
    pipeline.eval()
    try:
        pipeline.load_pipeline(found.state["pipeline"], found.state["step"])
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise RunConfigError(
            f"{found.path}: expected a checkpoint of the avatar that {path} describes, found that it does not fit "
            f"({type(error).__name__}: {_first(error)}). Copy the run again."
        ) from error
    return config, pipeline, found.path, found.state["step"]


def _text(path: Path) -> str:
    if not path.is_file():
        raise RunConfigError(f"{path}: no such file; give the config.yml inside the run's output folder")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise RunConfigError(f"{path}: expected at most {MAX_BYTES} bytes, found {size}; give a run's config.yml")
    text = path.read_text("utf8", errors="replace")
    if "TrainerConfig" not in text.partition("\n")[0]:
        raise RunConfigError(f"{path}: not the configuration of a run; give its config.yml")
    return text


def _first(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _line(node: yaml.Node) -> str:
    return f" in line {node.start_mark.line + 1}"


def _known(name: str, node: yaml.Node) -> Any:
    """The class of this dotted name, where its module is trusted and loaded."""
    module, _, attribute = name.rpartition(".")
    if module.partition(".")[0] not in TRUSTED:
        raise _Refused(f"'{name}'{_line(node)}: only classes of {' and '.join(TRUSTED)} are allowed")
    found = getattr(sys.modules.get(module), attribute, None)
    # where a module imports a class of somebody else, that class is not the module's
    if not isinstance(found, type) or found.__module__ != module:
        raise _Refused(f"'{name}'{_line(node)}: there is no such class (another version of it?)")
    return found


def _path_name(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    return module in ("pathlib", "pathlib._local") and attribute in PATHS


def _object(loader: _Loader, name: str, node: yaml.Node) -> Any:
    """A config object: its fields as the file has them, as they are by default where it has none."""
    found = _known(name, node)
    if not is_dataclass(found) or not isinstance(node, yaml.MappingNode):
        raise _Refused(f"'{name}'{_line(node)}: expected a configuration with its fields")
    values = loader.construct_mapping(node, deep=True)
    return _filled(found, values, node)


def _filled(found: Any, values: dict[Hashable, Any], node: yaml.Node) -> Any:
    known = {f.name: f for f in fields(found)}
    given = {}
    for key, value in values.items():
        today = RENAMED.get((found.__name__, str(key)), str(key))
        if today is not None or value is not None:
            given[str(key) if today is None else today] = value
    for key in given.keys() - known.keys():
        raise _Refused(f"'{key}' of {found.__name__}{_line(node)}: this version has no such field; update")
    made = object.__new__(found)
    for key, f in known.items():
        default = _default(f)
        if key not in given and default is MISSING:
            raise _Refused(f"{found.__name__}{_line(node)}: '{key}' is missing")
        value = _checked(f"'{key}' of {found.__name__}{_line(node)}", given[key], default) if key in given else default
        object.__setattr__(made, key, value)
    return made


def _default(f: Field) -> Any:
    return f.default if f.default_factory is MISSING else f.default_factory()


def _checked(where: str, value: Any, default: Any) -> Any:
    """The value, if it is of the kind that the field has by itself; for a name, what the field names by itself."""
    if isinstance(default, type) or callable(default):
        own = f"{default.__module__}.{default.__qualname__}"
        if isinstance(value, _Name) and value == own:
            return default
        raise _Refused(f"{where}: expected {own}, found {value!r:.80}")
    _no_names(where, value)
    kinds: dict[type, tuple[type, ...]] = {bool: (bool,), int: (int,), float: (int, float), str: (str,)}
    wanted = kinds.get(type(default), (Path,) if isinstance(default, Path) else ())
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = not wanted or (isinstance(value, wanted) and (bool in wanted or not isinstance(value, bool)))
    if is_dataclass(default) and not isinstance(default, type):
        fits = is_dataclass(value)
    if value is not None and not fits and not (is_number and int in wanted and float(value).is_integer()):
        raise _Refused(f"{where}: expected a value such as {default!r:.80}, found {value!r:.80}")
    return value


def _no_names(where: str, value: Any) -> None:
    """Classes stand in fields of their own, never inside other values."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    if isinstance(value, _Name):
        raise _Refused(f"{where}: expected no class, found {value}")
    for part in inside:
        _no_names(where, part)


def _apply(loader: _Loader, name: str, node: yaml.Node) -> Any:
    """A path or a member of an enumeration: the only calls that a configuration holds."""
    if not isinstance(node, yaml.SequenceNode):
        raise _Refused(f"a call of '{name}'{_line(node)}")
    arguments = loader.construct_sequence(node, deep=True)
    if _path_name(name) and all(type(part) is str for part in arguments):
        return Path(*arguments)
    found = _known(name, node)
    if not issubclass(found, Enum) or len(arguments) != 1:
        raise _Refused(f"a call of '{name}'{_line(node)}")
    return found(arguments[0])


def _name(loader: _Loader, name: str, node: yaml.Node) -> _Name:
    return _Name(name)


def _tuple(loader: _Loader, node: yaml.Node) -> tuple[Any, ...]:
    if not isinstance(node, yaml.SequenceNode):
        raise _Refused(f"a tuple{_line(node)}")
    return tuple(loader.construct_sequence(node, deep=True))


def _refuse(loader: _Loader, tag: str, node: yaml.Node) -> Any:
    raise _Refused(f"'{tag}'{_line(node)}")


_Loader.add_constructor(f"{PYTHON}tuple", _tuple)
_Loader.add_multi_constructor(f"{PYTHON}object:", _object)
_Loader.add_multi_constructor(f"{PYTHON}object/apply:", _apply)
_Loader.add_multi_constructor(f"{PYTHON}name:", _name)
_Loader.add_multi_constructor("", _refuse)
