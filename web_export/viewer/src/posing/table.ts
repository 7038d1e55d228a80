// Made by nerfstudio_mobavatar.web_export.gen_ts from nerfstudio_mobavatar/posing. Do not edit.

/** SMPL-X's joints in order. */
export const JOINT_NAMES = ["pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "jaw", "left_eye", "right_eye", "left_index1", "left_index2", "left_index3", "left_middle1", "left_middle2", "left_middle3", "left_pinky1", "left_pinky2", "left_pinky3", "left_ring1", "left_ring2", "left_ring3", "left_thumb1", "left_thumb2", "left_thumb3", "right_index1", "right_index2", "right_index3", "right_middle1", "right_middle2", "right_middle3", "right_pinky1", "right_pinky2", "right_pinky3", "right_ring1", "right_ring2", "right_ring3", "right_thumb1", "right_thumb2", "right_thumb3"] as const;

/** The joint on the other side. */
export const MIRRORED = [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 22, 24, 23, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39] as const;

/** Joints by part of the body. */
export const GROUPS = {"head": ["neck", "head"], "trunk": ["pelvis", "spine1", "spine2", "spine3"], "left arm": ["left_collar", "left_shoulder", "left_elbow", "left_wrist"], "right arm": ["right_collar", "right_shoulder", "right_elbow", "right_wrist"], "left leg": ["left_hip", "left_knee", "left_ankle", "left_foot"], "right leg": ["right_hip", "right_knee", "right_ankle", "right_foot"], "face": ["jaw", "left_eye", "right_eye"], "left hand": ["left_index1", "left_index2", "left_index3", "left_middle1", "left_middle2", "left_middle3", "left_pinky1", "left_pinky2", "left_pinky3", "left_ring1", "left_ring2", "left_ring3", "left_thumb1", "left_thumb2", "left_thumb3"], "right hand": ["right_index1", "right_index2", "right_index3", "right_middle1", "right_middle2", "right_middle3", "right_pinky1", "right_pinky2", "right_pinky3", "right_ring1", "right_ring2", "right_ring3", "right_thumb1", "right_thumb2", "right_thumb3"]} as const;

/** Bend of a finger's three joints in a fist. */
export const CURL_DEG = {"index": [80.0, 95.0, 60.0], "middle": [80.0, 95.0, 60.0], "pinky": [80.0, 95.0, 60.0], "ring": [80.0, 95.0, 60.0], "thumb": [35.0, 30.0, 60.0]} as const;

/** Axis about which a straight elbow or knee bends. */
export const HINGES = {"18": [0, -1, 0], "19": [0, 1, 0], "4": [1, 0, 0], "5": [1, 0, 0]} as const;

/** Limbs by their handle. */
export const LIMBS = {"left_hand": {"upper": 16, "lower": 18, "end": 20, "kind": "arm"}, "right_hand": {"upper": 17, "lower": 19, "end": 21, "kind": "arm"}, "left_foot": {"upper": 1, "lower": 4, "end": 7, "kind": "leg"}, "right_foot": {"upper": 2, "lower": 5, "end": 8, "kind": "leg"}} as const;

export type LimbName = keyof typeof LIMBS;

/** See ik.py. */
export const IK = {"straight_deg": 1.0, "plane_from_deg": 5.0, "plane_fully_deg": 15.0, "calm_rad": 0.35, "calm_rad_per_length": 5.0, "swivel_steps": 36, "refinements": 24, "valleys": 3} as const;

/** The body's landmarks that are used, see landmarks.py. */
export const MARKS = {"nose": 0, "left_ear": 7, "right_ear": 8, "left_shoulder": 11, "left_elbow": 13, "left_wrist": 15, "left_pinky": 17, "left_index": 19, "left_hip": 23, "left_knee": 25, "left_ankle": 27, "left_foot": 31, "right_shoulder": 12, "right_elbow": 14, "right_wrist": 16, "right_pinky": 18, "right_index": 20, "right_hip": 24, "right_knee": 26, "right_ankle": 28, "right_foot": 32} as const;

/** First of a finger's four landmarks. */
export const FINGER_ROOTS = {"thumb": 1, "index": 5, "middle": 9, "ring": 13, "pinky": 17} as const;

/** See landmarks.py and smoothing.py. */
export const RETARGET = {"hidden": 0.3, "seen": 0.6, "nose_down_deg": 15.0, "min_cutoff_hz": 1.0, "beta": 10.0, "speed_cutoff_hz": 2.0, "forget_s": 0.5} as const;

/** Bone axis and range (degrees) of every joint, see limits.py. */
export const LIMITS = [
  {"bone": 1, "low": [-360.0, -360.0, -360.0], "high": [360.0, 360.0, 360.0]},
  {"bone": 1, "low": [-125.0, -45.0, -30.0], "high": [30.0, 45.0, 60.0]},
  {"bone": 1, "low": [-125.0, -45.0, -60.0], "high": [30.0, 45.0, 30.0]},
  {"bone": 1, "low": [-20.0, -30.0, -25.0], "high": [40.0, 30.0, 25.0]},
  {"bone": 1, "low": [0.0, -20.0, -10.0], "high": [140.0, 20.0, 10.0]},
  {"bone": 1, "low": [0.0, -20.0, -10.0], "high": [140.0, 20.0, 10.0]},
  {"bone": 1, "low": [-20.0, -30.0, -25.0], "high": [40.0, 30.0, 25.0]},
  {"bone": 1, "low": [-30.0, -30.0, -25.0], "high": [55.0, 30.0, 25.0]},
  {"bone": 1, "low": [-30.0, -30.0, -25.0], "high": [55.0, 30.0, 25.0]},
  {"bone": 1, "low": [-20.0, -30.0, -25.0], "high": [40.0, 30.0, 25.0]},
  {"bone": 1, "low": [-45.0, -5.0, -5.0], "high": [30.0, 5.0, 5.0]},
  {"bone": 1, "low": [-45.0, -5.0, -5.0], "high": [30.0, 5.0, 5.0]},
  {"bone": 1, "low": [-35.0, -45.0, -30.0], "high": [40.0, 45.0, 30.0]},
  {"bone": 0, "low": [-20.0, -25.0, -15.0], "high": [20.0, 25.0, 40.0]},
  {"bone": 0, "low": [-20.0, -25.0, -40.0], "high": [20.0, 25.0, 15.0]},
  {"bone": 1, "low": [-30.0, -45.0, -25.0], "high": [35.0, 45.0, 25.0]},
  {"bone": 0, "low": [-90.0, -135.0, -100.0], "high": [90.0, 45.0, 110.0]},
  {"bone": 0, "low": [-90.0, -45.0, -110.0], "high": [90.0, 135.0, 100.0]},
  {"bone": 0, "low": [-90.0, -150.0, -25.0], "high": [90.0, 0.0, 25.0]},
  {"bone": 0, "low": [-90.0, 0.0, -25.0], "high": [90.0, 150.0, 25.0]},
  {"bone": 0, "low": [-40.0, -30.0, -80.0], "high": [40.0, 30.0, 80.0]},
  {"bone": 0, "low": [-40.0, -30.0, -80.0], "high": [40.0, 30.0, 80.0]},
  {"bone": 1, "low": [0.0, -8.0, -4.0], "high": [30.0, 8.0, 4.0]},
  {"bone": 1, "low": [-30.0, -35.0, -1.0], "high": [30.0, 35.0, 1.0]},
  {"bone": 1, "low": [-30.0, -35.0, -1.0], "high": [30.0, 35.0, 1.0]},
  {"bone": 0, "low": [-15.0, -20.0, -100.0], "high": [15.0, 20.0, 25.0]},
  {"bone": 0, "low": [-15.0, -20.0, -100.0], "high": [15.0, 20.0, 25.0]},
  {"bone": 0, "low": [-15.0, -20.0, -100.0], "high": [15.0, 20.0, 25.0]},
  {"bone": 0, "low": [-15.0, -20.0, -100.0], "high": [15.0, 20.0, 25.0]},
  {"bone": 0, "low": [-15.0, -20.0, -100.0], "high": [15.0, 20.0, 25.0]},
  {"bone": 0, "low": [-15.0, -20.0, -100.0], "high": [15.0, 20.0, 25.0]},
  {"bone": 0, "low": [-15.0, -20.0, -100.0], "high": [15.0, 20.0, 25.0]},
  {"bone": 0, "low": [-15.0, -20.0, -100.0], "high": [15.0, 20.0, 25.0]},
  {"bone": 0, "low": [-15.0, -20.0, -100.0], "high": [15.0, 20.0, 25.0]},
  {"bone": 0, "low": [-15.0, -20.0, -100.0], "high": [15.0, 20.0, 25.0]},
  {"bone": 0, "low": [-15.0, -20.0, -100.0], "high": [15.0, 20.0, 25.0]},
  {"bone": 0, "low": [-15.0, -20.0, -100.0], "high": [15.0, 20.0, 25.0]},
  {"bone": 0, "low": [-60.0, -60.0, -60.0], "high": [60.0, 60.0, 60.0]},
  {"bone": 0, "low": [-60.0, -60.0, -60.0], "high": [60.0, 60.0, 60.0]},
  {"bone": 0, "low": [-60.0, -60.0, -60.0], "high": [60.0, 60.0, 60.0]},
  {"bone": 0, "low": [-15.0, -20.0, -25.0], "high": [15.0, 20.0, 100.0]},
  {"bone": 0, "low": [-15.0, -20.0, -25.0], "high": [15.0, 20.0, 100.0]},
  {"bone": 0, "low": [-15.0, -20.0, -25.0], "high": [15.0, 20.0, 100.0]},
  {"bone": 0, "low": [-15.0, -20.0, -25.0], "high": [15.0, 20.0, 100.0]},
  {"bone": 0, "low": [-15.0, -20.0, -25.0], "high": [15.0, 20.0, 100.0]},
  {"bone": 0, "low": [-15.0, -20.0, -25.0], "high": [15.0, 20.0, 100.0]},
  {"bone": 0, "low": [-15.0, -20.0, -25.0], "high": [15.0, 20.0, 100.0]},
  {"bone": 0, "low": [-15.0, -20.0, -25.0], "high": [15.0, 20.0, 100.0]},
  {"bone": 0, "low": [-15.0, -20.0, -25.0], "high": [15.0, 20.0, 100.0]},
  {"bone": 0, "low": [-15.0, -20.0, -25.0], "high": [15.0, 20.0, 100.0]},
  {"bone": 0, "low": [-15.0, -20.0, -25.0], "high": [15.0, 20.0, 100.0]},
  {"bone": 0, "low": [-15.0, -20.0, -25.0], "high": [15.0, 20.0, 100.0]},
  {"bone": 0, "low": [-60.0, -60.0, -60.0], "high": [60.0, 60.0, 60.0]},
  {"bone": 0, "low": [-60.0, -60.0, -60.0], "high": [60.0, 60.0, 60.0]},
  {"bone": 0, "low": [-60.0, -60.0, -60.0], "high": [60.0, 60.0, 60.0]},
] as const;
