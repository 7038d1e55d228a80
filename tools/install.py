"""Fill .venv. Run by `tools/setup.sh`.

On Linux x86_64 every package comes in the version, and with the hash, that tools/locks has (`make lock` makes it).
Elsewhere, and beside a torch that the user has put into .venv, pip resolves: torch first, then this package, then the
gsplat that fits torch's CUDA. That order matters. nerfstudio names no torch version, so whatever pip meets first
decides; and nerfstudio pins gsplat 1.4.0, which hangs while building for CUDA 13, so that 1.5.3 has to replace it
afterwards, without its dependencies (pip would call the pair unresolvable).
"""

import hashlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAMP = Path(sys.prefix) / "mobavatar-installed"
LOG = Path(sys.prefix) / "mobavatar-install.log"

LOCKS = ROOT / "tools" / "locks"
LOCKED = ("Linux", "x86_64")
TORCH = {
    ("Linux", "aarch64"): ["torch==2.9.1", "torchvision==0.24.1"],
}
"""A pair that was seen to work together. torch is never chosen without torchvision: their binaries belong together."""
ANY_TORCH = ["torch>=2.6", "torchvision"]
"""Elsewhere: pip finds the pair, since each torchvision asks for one torch exactly."""
NUMPY = "numpy>=1.26.4,<2"
"""As pyproject.toml has it; torchvision alone would bring numpy 2, to be replaced a moment later."""
GSPLAT_FOR_CUDA_13 = "gsplat==1.5.3"
ROOM_GB = 9
"""What .venv takes with the CUDA libraries of torch (9.2 GB measured for the tests), the downloads not counted."""


def lacking_room(environment: Path) -> str | None:
    """What to say where the disk cannot hold the whole of .venv: better now than after minutes of downloads."""
    held = sum(path.lstat().st_size for path in environment.rglob("*") if not path.is_dir())
    free = shutil.disk_usage(environment).free
    if held + free >= ROOM_GB * 1e9:
        return None
    return (
        f"setup: not enough room on the disk of {environment}: {free / 1e9:.1f} GB free, {held / 1e9:.1f} GB in it "
        f"already, {ROOM_GB} GB needed\n(and 4 GB for downloads in {tempfile.gettempdir()} while it installs). "
        "Free some and run make again, or clone into another disk."
    )


def run(what: str, *command: str) -> bool:
    """Run a command and say how long it took. On a terminal its output is shown, elsewhere it goes to the log."""
    print(f"setup: {what} ...", flush=True)
    start = time.monotonic()
    if sys.stdout.isatty():
        code = subprocess.run(command, cwd=ROOT).returncode
    else:
        with LOG.open("a") as log:
            code = subprocess.run(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT).returncode
    print(f"setup: {what}: {'done' if code == 0 else 'FAILED'} after {time.monotonic() - start:.0f} s", flush=True)
    return code == 0


def pip(what: str, *arguments: str) -> bool:
    return run(what, sys.executable, "-m", "pip", "--disable-pip-version-check", "install", *arguments)


def ask(code: str) -> str | None:
    """What a fresh interpreter prints for `code`, None where it fails."""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return result.stdout.strip() if result.returncode == 0 else None


def torch_here() -> str | None:
    """Version of the working torch in .venv that has a torchvision beside it."""
    return ask("import torch, torchvision; torch.ones(1); print(torch.__version__.split('+')[0])")


def locked_version(lock: Path, package: str) -> str:
    found = re.search(rf"^{package}==([^ ;]+)", lock.read_text(), re.MULTILINE)
    if not found:
        raise SystemExit(f"setup: {lock} has no {package}; run `make lock`")
    return found[1]


def install_locked(lock: Path) -> bool:
    """Exactly the lock's files, each with its hash, then this package without asking for anything more."""
    return pip(f"the packages of {lock.relative_to(ROOT)}", "--no-deps", "--require-hashes", "-r", str(lock)) and pip(
        "nerfstudio-mobavatar", "--no-deps", "--no-build-isolation", "-e", "."
    )


def install_resolved(target: str) -> bool:
    done = install_torch() and pip(f"nerfstudio-mobavatar and its dependencies ({target})", "-e", target)
    if done and int(cuda_version().split(".")[0]) >= 13:
        done = pip(f"{GSPLAT_FOR_CUDA_13}, since torch has CUDA 13 or newer", "--no-deps", GSPLAT_FOR_CUDA_13)
    return done


def install_torch() -> bool:
    """A working pair that is there already (a user's own choice, say for an older CUDA driver) stays."""
    if torch_here():
        return True
    pinned = TORCH.get((platform.system(), platform.machine()))
    if pinned and pip(" and ".join(pinned), *pinned, NUMPY):
        return True
    return pip("torch and torchvision, newest pair (not one that was tested on this platform)", *ANY_TORCH, NUMPY)


def cuda_version() -> str:
    """The CUDA version that torch was built for, "0" where it was built for none."""
    return ask("import torch; print(torch.version.cuda or 0)") or "0"


def report_device() -> None:
    """Say which device will be used, and why a GPU that is there will not be."""
    if ask("import torch; assert torch.cuda.is_available()") is not None:
        print(f"setup: torch uses the GPU (CUDA {cuda_version()})")
    elif shutil.which("nvidia-smi") and subprocess.run(["nvidia-smi", "-L"], capture_output=True).returncode == 0:
        print(
            f"setup: there is an NVIDIA GPU, but torch, built for CUDA {cuda_version()}, cannot use it; most likely "
            "the driver is older.\nEverything will run on the CPU. Remedy: update the driver, or install into .venv a "
            "torch and torchvision for\nthe driver's CUDA version (https://pytorch.org/get-started) and run make again."
        )
    else:
        print("setup: no NVIDIA GPU; everything runs on the CPU")


def fingerprint(purpose: str) -> str:
    lock = (LOCKS / f"{purpose}.txt").read_bytes()
    text = (ROOT / "pyproject.toml").read_bytes() + lock + Path(__file__).read_bytes() + str(ROOT).encode()
    return f"{purpose} {hashlib.sha256(text).hexdigest()}"


def main(purpose: str) -> int:
    enough = {fingerprint("test")} if purpose == "test" else {fingerprint("demo"), fingerprint("test")}
    if STAMP.exists() and STAMP.read_text() in enough:
        return 0
    lock = LOCKS / f"{purpose}.txt"
    own_torch = torch_here()
    locked = (platform.system(), platform.machine()) == LOCKED and own_torch in (None, locked_version(lock, "torch"))
    if locked and (lacking := lacking_room(Path(sys.prefix))):
        print(lacking, file=sys.stderr)
        return 1
    STAMP.unlink(missing_ok=True)
    LOG.unlink(missing_ok=True)
    print("setup: installing into .venv; the first time this downloads about 4 GB and takes 7 minutes or more")
    done = install_locked(lock) if locked else install_resolved(".[dev]" if purpose == "test" else ".")
    if not done:
        if LOG.exists():
            print(f"setup: the end of {LOG}:", *LOG.read_text().splitlines()[-30:], sep="\n", file=sys.stderr)
        print("setup: failed, see above. Correct it and run make again: it goes on from here.", file=sys.stderr)
        return 1
    # left by the build; once stale, its entry points would hide the installed ones from commands run in this folder
    shutil.rmtree(ROOT / "nerfstudio_mobavatar.egg-info", ignore_errors=True)
    report_device()
    STAMP.write_text(fingerprint(purpose))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
