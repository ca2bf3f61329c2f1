"""Geometry: rotations, cameras, boxes, masks and rasterisation, without learned parameters."""
