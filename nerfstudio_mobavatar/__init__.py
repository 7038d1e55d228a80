"""Animatable 3D Gaussian avatars: a Nerfstudio method, its captures, its export to the web."""

__version__ = "0.1.0"
