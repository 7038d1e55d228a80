"""A tab of viser's page without a browser: speaks the page's messages by viser's own package.

`python -m tests.viser_tab URL` is one in a process of its own, as a browser would be. It reads commands from its
standard input, one a line, answers each with one line when it is done, and ends with its input:
`drag NAME X Y Z SECONDS HERTZ RADIUS` moves a gizmo along a circle around a place (viser units, as the page sends
them), `pictures` tells how many pictures have come so far, `log` tells as JSON the moves (place and time) and the
pictures (checksum and time) since the last `log`. Times are those of the machine's monotonic clock.
"""

import dataclasses
import json
import math
import sys
import threading
import time
import zlib

import msgspec
from viser import _messages
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

HUGE = 2**28
"""Bytes; viser sends everything that is there in one message."""


@dataclasses.dataclass
class Tab:
    """Connected, and looking along the world's z axis from the origin until somebody moves its camera."""

    url: str
    pictures: int = 0
    moves: list[tuple[float, ...]] = dataclasses.field(default_factory=list)
    arrived: list[tuple[int, float]] = dataclasses.field(default_factory=list)
    picture: bytes = b""
    """The file that came last."""

    def __post_init__(self) -> None:
        self._socket = connect(self.url.replace("http", "ws", 1), max_size=HUGE, compression=None)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.send(
            _messages.ViewerCameraMessage(
                (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.7, 1.0, (0.0, 0.0, 1.0), (0.0, -1.0, 0.0)
            )
        )

    def send(self, message: _messages.Message) -> None:
        self._socket.send(msgspec.msgpack.encode(message.as_serializable_dict()))

    def drag(self, name: str, place: tuple[float, float, float], seconds: float, hertz: float, radius: float) -> None:
        """Move a gizmo evenly once around a circle through `place`, as a mouse would."""
        moves = max(1, round(seconds * hertz))
        start = time.monotonic()
        for i in range(moves):
            angle = 2 * math.pi * (i + 1) / moves
            x, y, z = place[0], place[1] + radius * math.sin(angle), place[2] + radius * (math.cos(angle) - 1)
            self.moves.append((x, y, z, time.monotonic()))
            self.send(_messages.TransformControlsUpdateMessage(name, (1.0, 0.0, 0.0, 0.0), (x, y, z)))
            time.sleep(max(0.0, start + (i + 1) / hertz - time.monotonic()))

    def log(self) -> str:
        """Moves and pictures so far, and starts anew."""
        (moves, self.moves), (arrived, self.arrived) = (self.moves, []), (self.arrived, [])
        return json.dumps({"moves": moves, "pictures": arrived})

    def close(self) -> None:
        self._socket.close()
        self._reader.join(5)

    def _read(self) -> None:
        try:
            for window in self._socket:
                for message in msgspec.msgpack.decode(bytes(window) if isinstance(window, bytes) else window.encode()):
                    if message["type"] == "BackgroundImageMessage":
                        self.pictures += 1
                        self.picture = message["rgb_bytes"]
                        self.arrived.append((zlib.crc32(message["rgb_bytes"]), time.monotonic()))
        except ConnectionClosed:
            return


def main() -> None:
    tab = Tab(sys.argv[1])
    for line in sys.stdin:
        command, *words = line.split()
        if command == "drag":
            name, *numbers = words
            x, y, z, seconds, hertz, radius = map(float, numbers)
            tab.drag(name, (x, y, z), seconds, hertz, radius)
            print("done", flush=True)
        elif command == "pictures":
            print(tab.pictures, flush=True)
        elif command == "log":
            print(tab.log(), flush=True)
        else:
            raise SystemExit(f"{command}: expected drag, pictures or log")
    tab.close()


if __name__ == "__main__":
    main()
