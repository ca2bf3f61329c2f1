# BOA of LandmarkHMR on the free wild stream.
_base_ = '../source/lifter_wild.py'

adapter = dict(
    type='Bilevel', lr=2e-5, adam_betas=(0.5, 0.999), inner_lr=3e-5, steps=5, order='first',
    weights=dict(keypoints2d=10.0, shape_prior=1e-3, pose_prior=1e-4, source=0.0, motion=1.0, teacher=0.1),
    interval=3, teacher_keep=0.9, normalise='visible', reset='sequence')
