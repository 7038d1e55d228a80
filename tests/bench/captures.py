"""How exactly each capture layout gives back the known truth (tests/layouts): worst mask IoU, cross-layout PSNR."""

import tempfile
from pathlib import Path

from nerfstudio_mobavatar.body_model import load_body
from tests.layouts import checks
from tests.layouts.table import ROWS

from . import common


def main() -> None:
    body = load_body("open")
    iou, psnr = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for row in ROWS:
            truth, path = row.truth(), Path(folder) / row.name
            row.write(truth, path)
            parsed = row.parse(path)
            iou[row.name] = round(checks.mask_iou(parsed, body), 4)
            if row.cross_layout:
                psnr[row.name] = round(checks.cross_layout_psnr(parsed, truth), 1)
    truth = ROWS[0].truth()
    values = {
        "device": common.device_name("cpu"),
        "command": common.command_line(),
        "truth": f"{len(truth.cameras)} cameras x {truth.num_frames} frames of {truth.cameras[0].width}x"
        f"{truth.cameras[0].height} px",
        "parser_iou": iou,
        "cross_layout_psnr_db": psnr,
        "cross_layout_psnr_db_limit": 120,
    }
    common.write("captures", values)


if __name__ == "__main__":
    main()
