"""The tab "Shape": sliders of the body's shape coefficients, with an undo of their own: a shape is looked at in any
pose, and a pose in any shape."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from nerfstudio_mobavatar.posing.edit import History

from .shape import RANGE

if TYPE_CHECKING:
    from .panel import Panel


class ShapeTab:
    """Made inside the tab's context."""

    def __init__(self, panel: "Panel") -> None:
        self._control = panel.control
        gui, count = panel.gui, len(self._control.shape.values)
        self._lock = threading.Lock()
        self._history: History[tuple[float, ...]] = History((0.0,) * count)
        gui.add_markdown("Differences from the captured body. To look at: training, files and exports keep its shape.")
        gui.add_button("Undo shape", color="gray").on_click(lambda _: self._do(self._history.undo))
        gui.add_button("Redo shape", color="gray").on_click(lambda _: self._do(self._history.redo))
        gui.add_button("Captured shape", color="gray").on_click(lambda _: self._do(self._capture))
        self._sliders = [gui.add_slider(f"Shape {i + 1}", -RANGE, RANGE, 0.1, 0.0) for i in range(count)]
        for i, slider in enumerate(self._sliders):
            slider.on_update(panel.by_hand(lambda i=i: self._moved(i)))

    def _moved(self, i: int) -> None:
        value = float(self._sliders[i].value)
        with self._lock:
            values = list(self._history.now)
            values[i] = value
            if tuple(values) != self._history.now:
                self._history.record(tuple(values), self._control.session.gesture(("shape", i)))
                self._control.set_shape(np.array(values))

    def _capture(self) -> bool:
        self._history.record((0.0,) * len(self._sliders))
        return True

    def _do(self, action: Callable[[], bool]) -> None:
        with self._lock:
            if not action():
                return
            self._control.set_shape(np.array(self._history.now))
            for slider, value in zip(self._sliders, self._history.now):
                if slider.value != value:
                    slider.value = value
