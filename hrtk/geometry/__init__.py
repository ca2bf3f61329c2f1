"""Geometry: rotations, mirroring, cameras, boxes, points and motion, without learned parameters."""
