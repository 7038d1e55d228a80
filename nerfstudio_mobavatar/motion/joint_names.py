"""Names of joints: SMPL-X's own, and which joint of SMPL-X a name of somebody else's skeleton means.

Covers CMU's (LeftUpLeg, LHipJoint, LowerBack, Neck1), Mixamo's (mixamorig:LeftArm, LeftHandIndex1), SMPL's (L_Hip,
left_hip), and the common hip/knee/ankle, thigh/calf/foot and UpperLeg/LowerLeg namings, with the side before or after.
"""

import re
from collections.abc import Sequence

_FINGERS = ("index", "middle", "pinky", "ring", "thumb")
NAMES: tuple[str, ...] = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "jaw", "left_eye", "right_eye",
    *(f"{side}_{finger}{i}" for side in ("left", "right") for finger in _FINGERS for i in (1, 2, 3)),
)  # fmt: skip
"""The 55 joints of SMPL-X in order, as the smplx package calls them."""
INDEX = {name: i for i, name in enumerate(NAMES)}

_LIMBS: dict[str, tuple[str, ...]] = {
    "hip": ("upleg", "upperleg", "thigh", "hip"),
    "knee": ("knee", "lowerleg", "leg", "calf", "shin", "loleg"),
    "ankle": ("ankle", "foot"),
    "foot": ("toebase", "toe", "toes", "ball", "foot"),
    "collar": ("collar", "clavicle", "shoulder"),
    "shoulder": ("uparm", "upperarm", "arm", "shoulder"),
    "elbow": ("elbow", "forearm", "lowerarm", "loarm"),
    "wrist": ("wrist", "hand"),
}
"""SMPL-X's name -> names elsewhere, the first one that the skeleton has counts and is taken from the later roles."""
_SPINE = re.compile(r"(lowerback|spine\d*|chest\d*|upperchest|torso|abdomen\d*|back\d*|waist)")
_ROOT = ("hips", "hip", "pelvis", "root")


def _split(name: str) -> tuple[str, str]:
    """("left" | "right" | "", what is left of the name in lower case)."""
    plain = name.rpartition(":")[2].strip()
    words = re.sub(r"([a-z])([A-Z])", r"\1_\2", plain).lower()
    tokens = [t for t in re.split(r"[^a-z0-9]+", words) if t not in ("", "mixamorig", "bip01", "bip001", "def", "j")]
    side = ""
    for token, full in (("left", "left"), ("right", "right"), ("l", "left"), ("r", "right")):
        if token in tokens[:1] + tokens[-1:]:
            tokens.remove(token)
            side = full
            break
    if not side and tokens and (match := re.fullmatch(r"(left|right|[lr](?=hip|knee|thumb|collar))(.+)", tokens[0])):
        side, tokens[0] = {"l": "left", "r": "right"}.get(match[1], match[1]), match[2]
    return side, "".join(tokens)


def match_names(names: Sequence[str], parents: Sequence[int]) -> dict[int, int]:
    """SMPL-X joint -> joint of the skeleton, for those that have a counterpart. Joint 0 of the skeleton is the root."""
    parts = [_split(name) for name in names]
    found: dict[int, int] = {}
    for side in ("left", "right"):
        free = {word: j for j, (s, word) in reversed(list(enumerate(parts))) if s == side}
        for role, words in _LIMBS.items():
            # "foot" is the toe where there is an ankle, "shoulder" the upper arm where there is a collar
            if word := next((w for w in words if w in free), None):
                found[INDEX[f"{side}_{role}"]] = free.pop(word)
        if INDEX[f"{side}_shoulder"] not in found and INDEX[f"{side}_collar"] in found:
            found[INDEX[f"{side}_shoulder"]] = found.pop(INDEX[f"{side}_collar"])
        found |= _hand(side, free)
    middle = {word: j for j, (s, word) in reversed(list(enumerate(parts))) if not s}
    found[0] = next((middle[w] for w in _ROOT if w in middle), 0)
    found |= _trunk(middle, found, parents)
    return found | {INDEX[name]: j for j, name in enumerate(names) if name in INDEX}


def _hand(side: str, free: dict[str, int]) -> dict[int, int]:
    """All fifteen finger joints, or none: skeletons with one stump per hand say nothing about fingers."""
    out = {}
    for finger in _FINGERS:
        for i in (1, 2, 3):
            word = next((w for w in (f"hand{finger}{i}", f"{finger}{i}", f"finger{finger}{i}") if w in free), None)
            if word is None:
                return {}
            out[INDEX[f"{side}_{finger}{i}"]] = free[word]
    return out


def _trunk(middle: dict[str, int], found: dict[int, int], parents: Sequence[int]) -> dict[int, int]:
    """Spine, neck and head: the chain from the root to the head, or to the arms where there is no head."""
    head = next((middle[w] for w in ("head",) if w in middle), None)
    neck = next((middle[w] for w in ("neck1", "neck2", "neck") if w in middle), None)
    top = neck if neck is not None else head
    if top is None:
        arms = [found[j] for j in (INDEX["left_collar"], INDEX["left_shoulder"]) if j in found]
        top = arms[0] if arms else 0
    chain, j = [], parents[top] if top else -1
    while j > 0 and j != found[0]:
        chain.append(j)
        j = parents[j]
    words = {index: word for word, index in middle.items()}
    chain = [j for j in reversed(chain) if _SPINE.fullmatch(words.get(j, ""))]
    out = {INDEX[name]: j for name, j in (("neck", neck), ("head", head)) if j is not None}
    if chain:
        out[INDEX["spine1"]] = chain[0]
        if len(chain) > 1:
            out[INDEX["spine3"]] = chain[-1]
        if len(chain) > 2:
            out[INDEX["spine2"]] = chain[len(chain) // 2]
    return out
