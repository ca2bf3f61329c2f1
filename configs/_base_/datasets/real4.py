# One man in four calibrated videos, every fourth frame, 2D as MediaPipe finds it (docs/en/real4.md). Full rate:
# dataset.stride=1; 2D from the projected truth: dataset.keypoints=pose-reprojected.
real4 = dict(type='Pose2SimProject', root='data/real4', keypoints='pose-detected', reference='trc', stride=4)
