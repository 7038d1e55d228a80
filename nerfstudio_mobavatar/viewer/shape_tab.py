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
        self._control, self._settle = panel.control, panel.sliders.settle
        gui, count = panel.gui, len(self._control.shape.values)
        self._lock = threading.Lock()
        self.history: History[tuple[float, ...]] = History((0.0,) * count)
        gui.add_markdown("Differences from the captured body. To look at: training, files and exports keep its shape.")
        gui.add_button("Undo shape", color="gray").on_click(lambda _: self.do(self.history.undo))
        gui.add_button("Redo shape", color="gray").on_click(lambda _: self.do(self.history.redo))
        gui.add_button("Captured shape", color="gray").on_click(lambda _: self.do(self._capture))
        self._sliders = []
        for i in range(count):
            handle = gui.add_slider(f"Shape {i + 1}", -RANGE, RANGE, 0.1, 0.0)
            handle.on_update(panel.by_hand(lambda i=i: self._moved(i)))
            self._sliders.append(panel.sliders.add(handle, lambda i=i: self.history.now[i]))

    def _moved(self, i: int) -> None:
        value = float(self._sliders[i].handle.value)
        with self._lock:
            values = list(self.history.now)
            values[i] = value
            if tuple(values) != self.history.now:
                self.history.record(tuple(values), self._control.session.gesture(("shape", i)))
                self._control.set_shape(np.array(values))
        self._settle()

    def _capture(self) -> bool:
        self.history.record((0.0,) * len(self._sliders))
        return True

    def do(self, action: Callable[[], bool]) -> None:
        with self._lock:
            if not action():
                return
            self._control.set_shape(np.array(self.history.now))
            for slider, value in zip(self._sliders, self.history.now):
                if slider.handle.value != value:
                    slider.tell(value)
