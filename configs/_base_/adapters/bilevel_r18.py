# BOA of the free start model r18. The rates are those of a small network, chosen on seed 100 of the wild stream
# (docs/en/results/bilevel.md lists what was tried).
_base_ = '../datasets/studio_views.py'

bilevel_r18 = dict(
    type='Bilevel', lr=2e-4, adam_betas=(0.5, 0.999), inner_lr=3e-4, steps=5, order='first',
    weights=dict(keypoints2d=10.0, shape_prior=1e-3, pose_prior=1e-4, source=0.3, motion=1.0, teacher=0.1),
    interval=3, teacher_keep=0.9, teacher_update='frame',  # Algorithm 1, line 11
    normalise='visible', reset='sequence',
    source=dict(batch=4, pool=512, dataset=_base_.pop('studio_views')))
