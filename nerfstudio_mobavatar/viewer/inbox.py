"""The order in which what browsers say counts. Written for viser 0.2.7.

viser hands every message to a pool of threads, where a later one may overtake an earlier one: a drag would end where
the mouse was some moves before. Here messages are numbered as they arrive. Of one slider, gizmo or camera one thread at
a time handles the newest, and what is older than what was handled is left out. Presses of buttons all count.
"""

import itertools
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any

import viser
from nerfstudio.utils.rich_utils import CONSOLE
from viser import _messages

REMEMBERED = 1000
"""Handles whose newest number is known; of another one nothing can be under way that is older."""

Handler = Callable[[Any, Any], None]
"""Takes a client's number and a message."""


class Inbox:
    """Stands in front of a handler of messages that many threads call."""

    def __init__(self, handle: Handler, key: Callable[[Any], Hashable], number: Callable[[], int]) -> None:
        """`key` names what a message moves, None where each message counts; `number` grows with the arrival of the
        message that this thread has."""
        self._handle, self._key, self._number = handle, key, number
        self._lock = threading.Lock()
        self._newest: OrderedDict[Hashable, int] = OrderedDict()
        self._waiting: dict[Hashable, tuple[Any, Any]] = {}
        self._busy: set[Hashable] = set()

    def __call__(self, client: Any, message: Any) -> None:
        """Handle it, or leave it to the thread that is at an earlier message of the same key."""
        key = self._key(message)
        if key is None:
            self._handle(client, message)
            return
        with self._lock:
            number = self._number()
            if number < self._newest.get(key, 0):
                return
            self._newest[key] = number
            self._newest.move_to_end(key)
            if len(self._newest) > REMEMBERED:
                self._newest.popitem(last=False)
            self._waiting[key] = (client, message)
            if key in self._busy:
                return
            self._busy.add(key)
        while (about := self._next(key)) is not None:
            try:
                self._handle(*about)
            except Exception as error:  # as viser does: what follows is handled all the same
                CONSOLE.print(f"[yellow]The viewer could not do what a tab asked for: {error!r}. Move it once more.")
                traceback.print_exc()

    def _next(self, key: Hashable) -> tuple[Any, Any] | None:
        with self._lock:
            about = self._waiting.pop(key, None)
            if about is None:
                self._busy.remove(key)
            return about


def keep_order(server: viser.ViserServer) -> None:
    """Put an inbox in front of the server and of every tab that connects from now on."""
    sockets, gui = server._websock_server, server.gui
    number = _number_tasks(sockets._thread_executor)

    def key(message: _messages.Message) -> Hashable:
        if isinstance(message, _messages.ViewerCameraMessage):
            return "camera"
        if isinstance(message, _messages.TransformControlsUpdateMessage):
            return ("gizmo", message.name)
        if isinstance(message, _messages.GuiUpdateMessage):
            handle = gui._gui_input_handle_from_id.get(message.id)
            if handle is not None and not handle._impl.is_button:
                return ("input", message.id, *sorted(message.updates))
        return None

    def order(handler: Any) -> None:
        handler._handle_incoming_message = Inbox(handler._handle_incoming_message, key, number)

    order(sockets)
    sockets.on_client_connect(order)


def _number_tasks(pool: Any) -> Callable[[], int]:
    """Number a pool's tasks in the order in which they are given to it. The function tells a thread the number of the
    task that it is at."""
    numbers, current, submit = itertools.count(1), threading.local(), pool.submit

    def numbered(task: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        mine = next(numbers)

        def run() -> Any:
            current.number = mine
            return task(*args, **kwargs)

        return submit(run)

    pool.submit = numbered
    return lambda: current.number if hasattr(current, "number") else next(numbers)
