"""What nerfstudio's entry points `nerfstudio.dataparser_configs` load.

Apart from `configs.py` on purpose: nerfstudio loads this while its own `configs.dataparser_configs` is still being
imported, and a datamanager imports that module.
"""

from nerfstudio.plugins.registry_dataparser import DataParserSpecification

from nerfstudio_mobavatar.dataparsers.avatarrex import AvatarReXDataParserConfig
from nerfstudio_mobavatar.dataparsers.detect import AutoDataParserConfig

auto = DataParserSpecification(
    config=AutoDataParserConfig(), description="Capture of a person; the layout is found by looking at the folder."
)
avatarrex = DataParserSpecification(
    config=AvatarReXDataParserConfig(), description="Capture of a person in the AvatarReX layout."
)
