"""What nerfstudio's entry points `nerfstudio.dataparser_configs` load.

Apart from `configs.py` on purpose: nerfstudio loads this while its own `configs.dataparser_configs` is still being
imported, and a datamanager imports that module.
"""

from nerfstudio.plugins.registry_dataparser import DataParserSpecification

from nerfstudio_mobavatar.dataparsers.actorshq import ActorsHQDataParserConfig
from nerfstudio_mobavatar.dataparsers.avatarrex import AvatarReXDataParserConfig
from nerfstudio_mobavatar.dataparsers.detect import AutoDataParserConfig
from nerfstudio_mobavatar.dataparsers.dna_rendering import DNARenderingDataParserConfig
from nerfstudio_mobavatar.dataparsers.dreams import DreamsDataParserConfig
from nerfstudio_mobavatar.dataparsers.generic import GenericDataParserConfig
from nerfstudio_mobavatar.dataparsers.mvhumannet import MVHumanNetDataParserConfig
from nerfstudio_mobavatar.dataparsers.neuman import NeuManDataParserConfig
from nerfstudio_mobavatar.dataparsers.people_snapshot import PeopleSnapshotDataParserConfig
from nerfstudio_mobavatar.dataparsers.thuman4 import THuman4DataParserConfig
from nerfstudio_mobavatar.dataparsers.zju_mocap import ZJUMoCapDataParserConfig

auto = DataParserSpecification(
    config=AutoDataParserConfig(), description="Capture of a person; the layout is found by looking at the folder."
)
avatarrex = DataParserSpecification(
    config=AvatarReXDataParserConfig(), description="Capture of a person in the AvatarReX layout."
)
thuman4 = DataParserSpecification(
    config=THuman4DataParserConfig(), description="Capture of a person in the layout of THuman4.0."
)
actorshq = DataParserSpecification(
    config=ActorsHQDataParserConfig(), description="Capture of a person in the layout of ActorsHQ, with a SMPL-X fit."
)
dna_rendering = DataParserSpecification(
    config=DNARenderingDataParserConfig(), description="Capture of a person from DNA-Rendering (.smc files)."
)
dreams = DataParserSpecification(
    config=DreamsDataParserConfig(), description="Capture of a person in the layout of DREAMS-Avatar (videos)."
)
mvhumannet = DataParserSpecification(
    config=MVHumanNetDataParserConfig(), description="Capture of a person in the layout of MVHumanNet."
)
neuman = DataParserSpecification(
    config=NeuManDataParserConfig(),
    description="Video of a person by one moving camera, in the layout of NeuMan or HUGS (SMPL).",
)
people_snapshot = DataParserSpecification(
    config=PeopleSnapshotDataParserConfig(),
    description="Video of a person by one camera, as InstantAvatar prepares PeopleSnapshot (SMPL).",
)
generic = DataParserSpecification(
    config=GenericDataParserConfig(), description="Your own capture: images, masks, cameras, body.npz."
)
zju_mocap = DataParserSpecification(
    config=ZJUMoCapDataParserConfig(), description="Capture of a person in the layout of ZJU-MoCap (SMPL)."
)
