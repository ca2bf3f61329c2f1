# BOA of LandmarkHMR. The rate is a tenth of that of the r18 network, which diverges here.
_base_ = '../datasets/bundled_landmarks.py'

bilevel_lifter = dict(
    type='Bilevel', lr=2e-5, adam_betas=(0.5, 0.999), inner_lr=3e-5, steps=5, order='first',
    weights=dict(keypoints2d=10.0, shape_prior=1e-3, pose_prior=1e-4, source=0.3, motion=1.0, teacher=0.1),
    interval=3, teacher_keep=0.9, normalise='visible', reset='sequence',
    source=dict(batch=4, pool=512, dataset=_base_.pop('bundled_landmarks')))
