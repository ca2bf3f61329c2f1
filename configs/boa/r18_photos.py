# BOA of the free start model on a folder of single photographs. There is no motion to learn from, so the adapter takes
# many steps on each photograph and resets before the next. For a video use r18_video.py.
_base_ = ['../source/r18_photos.py', '../_base_/datasets/studio_views.py']

adapter = dict(
    type='Bilevel', lr=2e-4, adam_betas=(0.5, 0.999), inner_lr=3e-4, steps=15, order='first',
    weights=dict(keypoints2d=10.0, shape_prior=1e-3, pose_prior=1e-4, source=0.3, motion=0.0, teacher=0.0),
    normalise='visible', reset='frame',
    source=dict(batch=4, pool=512, dataset=_base_.pop('studio_views')))
