"""What every benchmark shares: the device's name and one JSON file per benchmark, units in the key names."""

import json
import platform
import shlex
import sys
from datetime import date
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"


def device_name(device: torch.device | str) -> str:
    """The card's name, or the processor's with the number of cores."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = f"{names[0]}, {len(names)} cores" if names else model
    return f"CPU ({model})"


def write(name: str, values: dict[str, Any]) -> Path:
    """Merge `values` into results/NAME.json, so that parts measured on different machines can be written one by one."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    known = json.loads(path.read_text()) if path.is_file() else {}
    merged = known | values | {"date": date.today().isoformat()}
    path.write_text(json.dumps(merged, indent=1) + "\n")
    print(json.dumps(values, indent=1))
    return path


def command_line() -> str:
    """The command that is running; folders and files of this machine are `DIR`."""
    arguments = ["DIR" if Path(argument).is_absolute() else argument for argument in sys.argv[1:]]
    return shlex.join(["python", "-m", f"tests.bench.{Path(sys.argv[0]).stem}", *arguments])
