"""Hands on the avatar in nerfstudio's viewer: what is posed (session), drawn (skeleton) and pressed (panel).

`session`, `files` and `colours` know neither nerfstudio nor viser; `skeleton`, `panel` and `player` are written for
viser 0.2.7, the one that nerfstudio 1.1.5 pins.
"""
