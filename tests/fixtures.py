"""Helpers that several tests share."""

from pathlib import Path

from nerfstudio_mobavatar.demo.capture import DemoData


def make_mini_capture(folder: Path, **changes) -> Path:
    """A tiny synthetic capture in AvatarReX layout: 4 cameras x 6 frames, 72 x 96 pixels."""
    settings = {"frames": 6, "cameras": 4, "width": 72, "height": 96, "frame_step": 10, "device": "cpu", "workers": 1}
    DemoData(folder, **{**settings, **changes}).main()
    return folder
