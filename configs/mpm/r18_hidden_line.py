# Hidden keypoints are filled in by straight lines in time, where there are visible frames before and after.
_base_ = './r18_hidden.py'

dataset = dict(transforms=[*_base_.dataset.transforms, dict(type='InterpolateKeypoints', confidence=0.3)])
