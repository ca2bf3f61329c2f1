"""Triangle meshes and masks in the image: rasterisation, silhouettes with gradients, distance maps, checks of masks."""
