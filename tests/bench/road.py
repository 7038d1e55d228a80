"""The whole road, measured: training and evaluation on a real capture, and one avatar file through three renderers.

    python -m tests.bench.road train --data DIR --method mobavatar-tiny --steps 600 --key real4cam_cpu_tiny --work DIR
    python -m tests.bench.road parity --bundle docs/sample
    python -m tests.bench.road set demo_minutes=6.1

Each part adds its keys to results/road.json. Training uses nerfstudio's own commands, as a user would.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from . import common

KEPT = ("psnr", "ssim", "psnr_crop", "ssim_crop", "lpips")


def nerfstudio(script: str, *arguments: str) -> None:
    """`ns-train` and friends by module, so that the environment need not be on the PATH."""
    command = [sys.executable, "-m", f"nerfstudio.scripts.{script}", *arguments]
    print("$", " ".join(command[2:]), flush=True)
    subprocess.run(command, check=True)


def train_once(args: argparse.Namespace, name: str, extra: list[str]) -> tuple[dict[str, Any], float, Path]:
    """Train one variant, evaluate it; returns ns-eval's results, training seconds and the run's config."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    started = time.monotonic()
    nerfstudio(
        "train", args.method, "--data", str(args.data), "--output-dir", str(args.work), "--experiment-name", name,
        "--timestamp", "run", "--vis", "tensorboard", "--machine.device-type", device,
        "--max-num-iterations", str(args.steps), *extra, *args.extra,
    )  # fmt: skip
    seconds = time.monotonic() - started
    config = args.work / name / args.method / "run" / "config.yml"
    output = args.work / f"{name}.json"
    nerfstudio("eval", "--load-config", str(config), "--output-path", str(output))
    return json.loads(output.read_text())["results"], seconds, config


def splits(results: dict[str, Any], baseline: dict[str, Any]) -> dict[str, dict[str, float]]:
    """{"view": ..., "pose": ...}: our metrics and the baseline's beside them."""
    out: dict[str, dict[str, float]] = {}
    for short, tag in (("view", "novel_view"), ("pose", "novel_pose")):
        for source, suffix in ((results, ""), (baseline, "_baseline")):
            for key in KEPT:
                value = source.get(f"{tag}/{key}")
                if value is not None:
                    out.setdefault(short, {})[key + suffix] = round(float(value), 4)
    return out


def train(args: argparse.Namespace) -> None:
    device = common.device_name("cuda" if torch.cuda.is_available() else "cpu")
    ours, seconds, config = train_once(args, f"{args.key}-full", [])
    baseline, _, _ = train_once(args, f"{args.key}-baseline", ["--pipeline.model.correctives", "False"])
    facts = {
        "device": device,
        "steps": args.steps,
        "train_seconds": round(seconds, 1),
        "command": common.command_line(),
    }
    by_split = splits(ours, baseline)
    if args.key == "real4cam":  # the issue names the two splits of the GPU run as two keys
        values = {"real4cam": by_split["view"] | facts, "real4cam_pose": by_split["pose"] | facts}
    else:
        values = {args.key: by_split | facts}
    common.write("road", values)
    print("exported from:", config)


def parity(args: argparse.Namespace) -> None:
    from . import parity as measure

    values = measure.measure(args.bundle, args.size, args.frames)
    common.write("road", {"parity_db": values, "parity_command": common.command_line()})


def set_values(args: argparse.Namespace) -> None:
    common.write("road", {k: json.loads(v) for k, v in (pair.split("=", 1) for pair in args.pairs)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    p = commands.add_parser("train")
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--method", default="mobavatar")
    p.add_argument("--steps", type=int, required=True)
    p.add_argument("--key", required=True)
    p.add_argument("--work", type=Path, required=True)
    p.add_argument("extra", nargs="*", help="after --: more options for ns-train, for example a dataparser subcommand")
    p.set_defaults(run=train)
    p = commands.add_parser("parity")
    p.add_argument("--bundle", type=Path, required=True)
    p.add_argument("--size", type=int, default=512)
    p.add_argument("--frames", type=int, default=3)
    p.set_defaults(run=parity)
    p = commands.add_parser("set")
    p.add_argument("pairs", nargs="+", help="key=JSON")
    p.set_defaults(run=set_values)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
