"""What reading a damaged file may lead to: the file is read, or the user is told in this project's own words.

Everything else is a failure: another exception, a message that does not name the file, more than `SECONDS` of processor
time, more than `MAX_MB` of memory, and any of what Python's audit events report: a file opened outside of the folder,
a file written or removed, a socket, a process, code executed, a module imported.
"""

import collections
import dataclasses
import os
import resource
import signal
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nerfstudio_mobavatar.user_errors import PACKAGE, is_for_users

SECONDS = 10.0
"""Of processor time."""
MAX_MB = 400
"""Beyond what the process had before."""
ADDRESS_MB = 2048
"""Of addresses beyond those that the process had before: what is asked for and never touched counts, too."""

WRITES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod", "os.chown",
    "os.truncate",
          "os.utime", "shutil.", "tempfile.")  # fmt: skip
NEVER = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.startfile",
    "exec",
         "pickle.find_class", "marshal.", "ctypes.", "code.__new__", "urllib.", "http.", "ftplib.", "webbrowser.",
         "pty.",
         "os.putenv", "os.unsetenv", "sys._getframemodulename_", "mmap.__new__")  # fmt: skip
INSTALLED = tuple(
    os.path.realpath(folder)
    for folder in {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), str(Path(__file__).parents[2])}
)
"""Libraries and this project: read (lazily imported, shipped data), never as the file says."""


CLASS_MAKERS = (collections.__file__, dataclasses.__file__)
"""They run code of their own, with names that a module gives."""


class TooLongError(BaseException):
    """Out of time; no reader's `except Exception` stops it."""


@dataclass
class Failure:
    """Something that a reader must not do."""

    kind: str
    """Alike failures are of one kind: what happened and where."""
    text: str


class Guard:
    """Watches one process. The audit hook stays for good, so use it in a process of its own."""

    def __init__(self, root: Path, may_write: bool = False) -> None:
        self.root, self.may_write = os.path.realpath(root), may_write
        self._found: list[str] | None = None
        self._modules: set[str] = set()
        sys.addaudithook(self._hook)
        signal.signal(signal.SIGPROF, self._too_long)
        warnings.simplefilter("ignore")

    def limit_memory(self, limit_addresses: bool = True) -> None:
        """After everything is imported and the sound files were read."""
        self._peak = _peak_mb()
        if not limit_addresses:
            return
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + (ADDRESS_MB << 20)
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))

    def run(self, read: Callable[[], Any], folder: Path) -> Failure | None:
        """Read once."""
        self._found = []
        error: BaseException | None = None
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            read()
        except BaseException as caught:
            error = caught
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            events, self._found = self._found, None
        failure = self._judge(error, events, folder)
        if error is not None:
            traceback.clear_frames(error.__traceback__)
        return failure

    def _judge(self, error: BaseException | None, events: list[str], folder: Path) -> Failure | None:
        if events:
            return Failure(f"event {events[0].split(' ')[0]}", "; ".join(events[:5]))
        peak = _peak_mb()
        if peak - self._peak > MAX_MB:
            self._peak = peak
            return Failure(f"memory {_place(error)}", f"{MAX_MB} MB and more; then {error!r:.300}")
        if error is None:
            return None
        for cause in _causes(error):
            said = str(cause)
            if isinstance(cause, MemoryError) or "nsufficient memory" in said or "allocate memory" in said:
                return Failure(f"memory {_place(cause)}", f"memory asked for: {cause!r:.300}")
        if isinstance(error, TooLongError):
            return Failure(f"time {_place(error)}", f"more than {SECONDS} s")
        if not is_for_users(error):
            return Failure(f"{type(error).__name__} {_place(error)}", f"{error!r:.500}")
        if str(folder) not in str(error):
            return Failure(f"unnamed {_place(error)}", f"the message does not name the file: {error!r:.300}")
        if len(str(error)) > 20_000:
            return Failure(f"long {_place(error)}", f"a message of {len(str(error))} characters")
        return None

    def _too_long(self, *_: Any) -> None:
        raise TooLongError

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        found = self._found
        if found is None:
            return
        if event == "open":
            self._opened(found, *args)
        elif event == "import":
            self._imported(found, str(args[0]))
        elif event.startswith(NEVER) or (event.startswith(WRITES) and not self.may_write):
            if not self._is_library(event, args):
                found.append(f"{event} {str(args)[:200]}")

    def _opened(self, found: list[str], path: Any, mode: Any, flags: Any) -> None:
        if isinstance(path, int):
            return
        real = os.path.realpath(os.fsdecode(path))
        writes = (isinstance(mode, str) and any(c in mode for c in "wax+")) or (flags or 0) & (os.O_WRONLY | os.O_RDWR)
        inside = real.startswith(self.root + os.sep)
        allowed = inside and (self.may_write or not writes)
        installed = real.startswith(INSTALLED) and not writes
        if not allowed and not installed and not real.startswith(("/proc/self/", "/dev/null", "/sys/")):
            found.append(f"open {real} {mode} {flags}")

    def _imported(self, found: list[str], name: str) -> None:
        """Lazy imports of libraries are theirs; what no library asked for was named by the file."""
        frame = sys._getframe(2)
        while frame is not None and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        if frame is None or not os.path.realpath(frame.f_code.co_filename).startswith((*INSTALLED, "<")):
            found.append(f"import {name}")

    def _is_library(self, event: str, args: tuple[Any, ...]) -> bool:
        """A library's module that is imported lazily: its code is read and run."""
        caller = sys._getframe(2).f_code.co_filename
        if event == "exec":
            name = getattr(args[0], "co_filename", "")
            return name.startswith(("<frozen", *INSTALLED)) or caller in CLASS_MAKERS
        return event == "marshal.loads" and "importlib" in caller


def _causes(error: BaseException) -> list[BaseException]:
    out: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and len(out) < 20:
        out.append(cause)
        cause = cause.__cause__ or cause.__context__
    return out


def _place(error: BaseException | None) -> str:
    """The innermost line of this package that an error went through."""
    lines = traceback.extract_tb(error.__traceback__) if error is not None else []
    lines = [line for line in lines if line.filename != __file__]
    ours = [line for line in lines if PACKAGE in line.filename or "/dataparsers/" in line.filename] or lines[-1:]
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
