"""Functions of geometry: rotations, cameras, boxes and rasterisation. Nothing here is learned."""
