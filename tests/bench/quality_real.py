"""What settings that win on synthetic pictures do to a real capture, through nerfstudio's own commands.

    python -m tests.bench.quality_real run --data DIR --variants paper tuned --steps 2500 --work DIR --out DIR

One file per variant and seed in results/quality_real/, which `python -m tests.bench.quality merge` reads.
Metrics are `ns-eval`'s, by split: `novel_pose` are the last frames, `novel_view` the held-out camera.
"""

import argparse
import json
import time
from pathlib import Path

import torch

from nerfstudio_mobavatar.avatar import AvatarConfig
from nerfstudio_mobavatar.configs import RATES
from tests.bench import common, road

ALL_INPUTS = ["--pipeline.model.avatar.input-reach", "None"]
NEAR_INPUTS = ["--pipeline.model.avatar.input-reach", "1"]
SPARSE = [
    "--pipeline.model.losses.rotation-sparsity", "0.02", "--pipeline.model.losses.log-scale-sparsity", "0.05",
    "--pipeline.model.losses.color-sparsity", "0.002",
]  # fmt: skip
FREE = [x if x.startswith("--") else "0" for x in SPARSE]
SLOW, QUICK = (["--optimizers.mlp.optimizer.lr", rate] for rate in ("5e-4", "1e-3"))
DECAYS = [
    word
    for name in (rate.replace("_", "-") for rate in RATES)
    for word in (
        f"--optimizers.{name}.scheduler.shape", "exponential",
        f"--optimizers.{name}.scheduler.final-factor", "0.01" if name.startswith("node") else "0.1",
        f"--optimizers.{name}.scheduler.after-pruning", "1",
    )
]  # fmt: skip
FORMER = [*DECAYS, "--pipeline.model.pruning.score", "variance"]
"""What the methods did when the other settings were compared."""


def after_pruning(rate: float) -> list[str]:
    """All rates so many times as high from pruning on."""
    names = (name.replace("_", "-") for name in RATES)
    return [word for name in names for word in (f"--optimizers.{name}.scheduler.after-pruning", f"{rate:g}")]


ALL_FEATURES = [
    "--pipeline.model.pruning.keep-features", "None", "--pipeline.model.prune-fraction", "0.714", *after_pruning(4),
]  # fmt: skip
"""What the methods did before they cut features."""
KEEP_ALL = ["--pipeline.model.pruning.keep-count", str(AvatarConfig().num_gaussians)]
PLAIN_RATES = ["--optimizers.bases.optimizer.lr", "1e-3", "--optimizers.node-basis.optimizer.lr", "5e-5", *SLOW]
VARIANTS = {
    "before": [*ALL_INPUTS, *SPARSE, *PLAIN_RATES, *FORMER],
    "paper": [*ALL_INPUTS, *SPARSE, *SLOW, *FORMER],
    "tuned": [*NEAR_INPUTS, *FREE, *QUICK, *FORMER],
    "mask-term": [*ALL_INPUTS, *FREE, *QUICK, "--pipeline.model.losses.mask-weight", "0.1", *FORMER],
    "shipped": [],
    "even-features": ["--pipeline.model.pruning.features-by-part", "False"],
    "shipped-near-2": ["--pipeline.model.avatar.input-reach", "2"],
    "unpruned": ["--pipeline.model.pruning.keep-features", "None", *KEEP_ALL, *after_pruning(1)],
    "all-features": ALL_FEATURES,
    "all-features-unpruned": [*ALL_FEATURES, *KEEP_ALL],
    "pruned-by-variance": [*ALL_FEATURES, "--pipeline.model.pruning.score", "variance"],
    "near-2": ["--pipeline.model.avatar.input-reach", "2", *FREE, *QUICK, *FORMER],
    "near-inputs": [*NEAR_INPUTS, *SPARSE, *SLOW, *FORMER],
    "no-l1": [*ALL_INPUTS, *FREE, *QUICK, *FORMER],
}


def run(args: argparse.Namespace) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    args.out.mkdir(parents=True, exist_ok=True)
    for number, (name, options) in enumerate(VARIANTS.items()):
        if args.variants and name not in args.variants:
            continue
        began, place = time.monotonic(), f"variant{number}-{args.seed}"
        road.nerfstudio(
            "train", args.method, "--data", str(args.data), "--output-dir", str(args.work), "--experiment-name", place,
            "--timestamp", "run", "--vis", "tensorboard", "--machine.device-type", device, "--steps-per-eval-image",
            "0", "--max-num-iterations", str(args.steps), "--machine.seed", str(args.seed),
            "--pipeline.model.avatar.seed", str(args.seed), "--pipeline.datamanager.train-cameras-sampling-seed",
            str(args.seed), *options, *args.extra,
        )  # fmt: skip
        seconds = time.monotonic() - began
        config, output = args.work / place / args.method / "run" / "config.yml", args.work / f"{place}.json"
        road.nerfstudio("eval", "--load-config", str(config), "--output-path", str(output))
        found = json.loads(output.read_text())["results"]
        values = {
            "variant": name,
            "seed": args.seed,
            "capture": args.key,
            "method": args.method,
            "steps": args.steps,
            "options": [*options, *args.extra],
            "results": {key: round(float(value), 5) for key, value in found.items() if "/" in key},
            "train_with_start_s": round(seconds, 1),
            "device": common.device_name(device),
        }
        (args.out / f"{args.key}-{name}-{args.seed}.json").write_text(json.dumps(values, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p = parser.add_subparsers(required=True).add_parser("run")
    p.add_argument("--out", type=Path, default=common.RESULTS / "quality_real")
    p.add_argument("--key", default="real4cam", help="name of the capture")
    p.add_argument("--data", type=Path, required=True)
    p.add_argument("--work", type=Path, required=True)
    p.add_argument("--variants", nargs="*", choices=list(VARIANTS), help="all if not given")
    p.add_argument("--method", default="mobavatar")
    p.add_argument("--steps", type=int, default=2500)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("extra", nargs="*", help="after --: more options for ns-train")
    run(parser.parse_args())


if __name__ == "__main__":
    main()
