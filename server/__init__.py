"""Spark Control: the control plane of a homelab AI cluster of NVIDIA DGX Sparks."""

__version__ = "0.1.0"
