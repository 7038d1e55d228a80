"""The whole road once, as a user would walk it: capture, `ns-train`, `ns-export`, page."""

import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from .. import serve
from .capture import DemoData
from .motion import FPS as MOTION_FPS

FRAME_STEP = 5
"""Every fifth frame: more different poses from as many pictures."""


class DemoError(RuntimeError):
    """A station of the road failed; the message names the command."""


@dataclass
class Demo:
    """Show a well-trained avatar at once, and meanwhile generate a capture, train a tiny avatar on it and export it."""

    output_dir: Path = Path("demo")
    """Working folder; what an earlier demo left there is replaced."""
    sample: Path = Path("docs/sample")
    """Exported folder that is shown while the tiny avatar trains."""
    frames: int = 48
    """Frames of the generated capture."""
    cameras: int = 6
    """Cameras of the generated capture; one of them is held out."""
    steps: int = 500
    """Training steps."""
    port: int = 0
    """Port of the web page; 0 takes a free one."""
    keep_serving: bool | None = None
    """Stay and serve the page when done; by default only when a person is at the terminal."""

    def main(self) -> None:
        """Run every station; each prints its own progress."""
        console, started = Console(), time.monotonic()
        self._start_clean()
        with serve.running(self.output_dir, self.port) as url:
            self._walk(console, url, started)

    def _walk(self, console: Console, url: str, started: float) -> None:
        if (self.output_dir / "sample").is_dir():
            console.rule("A well-trained avatar, right now")
            console.print(
                f"Open {url}sample/ in a browser with WebGPU (Chrome, Edge, Safari 26, Firefox 141 or newer)."
            )
        console.rule("1/3  A synthetic capture (a real one has the same layout)")
        capture = self.output_dir / "capture"
        DemoData(capture, frames=self.frames, cameras=self.cameras, width=192, height=256, frame_step=FRAME_STEP).main()
        console.rule("2/3  Training: ns-train mobavatar-tiny")
        config = self._train(capture)
        console.rule("3/3  Export: ns-export mobavatar")
        avatar = self.output_dir / "avatar"
        self._run("ns-export", "mobavatar", "--load-config", str(config), "--output-dir", str(avatar))
        console.rule(f"Done in {(time.monotonic() - started) / 60:.1f} minutes")
        console.print(f"Poster:  {avatar / 'poster.jpg'}")
        console.print(f"Avatar:  {url}avatar/  (tiny, trained just now)")
        if (self.output_dir / "sample").is_dir():
            console.print(f"Sample:  {url}sample/  (paper scale)")
        stay = sys.stdin.isatty() if self.keep_serving is None else self.keep_serving
        if stay:
            console.print("Serving until Ctrl+C. Later: mobavatar view", self.output_dir)
            serve.until_interrupted()
        else:
            console.print(f"Not staying, no terminal is attached. Serve it with: mobavatar view {self.output_dir}")

    def _start_clean(self) -> None:
        """Remove only what a demo makes; a folder with anything else in it is refused."""
        own = {"capture", "training", "avatar", "sample"}
        if self.output_dir.exists():
            foreign = sorted(p.name for p in self.output_dir.iterdir() if p.name not in own)
            if foreign:
                raise DemoError(
                    f"{self.output_dir} holds {', '.join(foreign)}; choose another --output-dir for the demo"
                )
            shutil.rmtree(self.output_dir)
        self.output_dir.mkdir(parents=True)
        if (self.sample / "index.html").is_file():
            shutil.copytree(self.sample, self.output_dir / "sample")

    def _train(self, capture: Path) -> Path:
        """Train through the real command and return the run's config.yml."""
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._run(
            "ns-train", "mobavatar-tiny", "--data", str(capture), "--output-dir", str(self.output_dir / "training"),
            "--experiment-name", "demo", "--timestamp", "run", "--vis", "tensorboard", "--machine.device-type", device,
            "--max-num-iterations", str(self.steps), "mobavatar-auto", "--fps", str(MOTION_FPS / FRAME_STEP),
        )  # fmt: skip
        return self.output_dir / "training" / "demo" / "mobavatar-tiny" / "run" / "config.yml"

    @staticmethod
    def _run(tool: str, *arguments: str) -> None:
        """One of nerfstudio's commands, from this environment."""
        command = [str(Path(sys.executable).parent / tool), *arguments]
        result = subprocess.run(command, check=False)
        if result.returncode != 0:
            raise DemoError(f"'{' '.join(command)}' ended with exit code {result.returncode}; its output is above")
