"""When a button or finger goes down on viser's page and when it is up again, which viser 0.2.7 does not tell: a drag
with a pause is one step of undo all the same, and its gizmo stays under the mouse.

A script in the page sends both through the page's own worker, as a number that no panel shows: the time, negative where
the pointer is up.
"""

from collections.abc import Callable

import viser
from viser import _messages

SCRIPT = """(() => {
  let worker;
  const post = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (message, ...rest) {
    if (message?.type === "send") worker = this;
    return post.call(this, message, ...rest);
  };
  const tell = (sign) => worker && post.call(worker, {
    type: "send", message: { type: "GuiUpdateMessage", id: "%s", updates: { value: sign * Date.now() } },
  });
  addEventListener("pointerdown", () => tell(1), true);
  for (const type of ["pointerup", "pointercancel"]) addEventListener(type, () => tell(-1), true);
  addEventListener("blur", () => tell(-1));
})()"""


class Pointer:
    """Calls `moved(tab, is_down)` with the number of the tab."""

    def __init__(self, server: viser.ViserServer, moved: Callable[[int, bool], None]) -> None:
        number = server.gui.add_number("Pointer", 0, visible=False)

        def told(event: viser.GuiEvent) -> None:
            if event.client_id is not None:
                moved(event.client_id, number.value > 0)

        number.on_update(told)
        server.gui._websock_interface.queue_message(_messages.RunJavascriptMessage(SCRIPT % number._impl.id))
        server.on_client_disconnect(lambda client: moved(client.client_id, False))
