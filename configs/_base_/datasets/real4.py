# One man in four calibrated videos, every fourth frame (docs/en/real4.md). 2D as MediaPipe finds it, left and right
# repaired as `hrtk infer` does; as detected: dataset.repair_sides=False; of the projected truth:
# dataset.keypoints=pose-reprojected. Full rate: dataset.stride=1.
real4 = dict(
    type='Pose2SimProject', root='data/real4', keypoints='pose-detected', reference='trc', stride=4, repair_sides=True)
real4_evaluator = dict(protocol='real4_ray')
