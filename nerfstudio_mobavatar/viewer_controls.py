"""What the avatar adds to nerfstudio's viewer. Elements must be public attributes of the model to be found."""

from nerfstudio.viewer.viewer import Viewer
from nerfstudio.viewer.viewer_elements import ViewerControl, ViewerSlider


class UpDirection(ViewerControl):
    """Stands the person upright: captures keep their own world, nerfstudio's viewer takes +z for up."""

    def __init__(self, up: tuple[float, float, float]) -> None:
        self.up = up

    def _setup(self, viewer: Viewer) -> None:
        super()._setup(viewer)
        viewer.viser_server.scene.set_up_direction(self.up)


def frame_slider(num_frames: int) -> ViewerSlider:
    """Row of the fit to show; -1 follows the camera's own row or time."""
    return ViewerSlider("Frame", -1, -1, num_frames - 1, 1, hint="Row of the fit to show; -1 follows the camera's time")
