"""Brown's lens as VideoPose3D has it, a point at a time in float64."""

import numpy as np


def seen_by_hand(points, fx, fy, cx, cy, k1, k2, k3, p1, p2):
    """One point at a time, Brown's lens as VideoPose3D has it."""
    found = []
    for x, y, z in np.float64(points).reshape(-1, 3):
        x, y = x / z, y / z
        r2 = x * x + y * y
        factor = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + p1 * x + p2 * y
        found.append((fx * (x * factor + p1 * r2) + cx, fy * (y * factor + p2 * r2) + cy))
    return np.array(found).reshape(*np.shape(points)[:-1], 2)
