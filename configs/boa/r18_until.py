# Plain steps on the losses of one frame, at the rate of r18_wild.py, until the 2D error is the noise of the keypoints:
# 4 px on a crop of 224 px for `detector`. The limit is a little above it, chosen on seed 100 of the stream.
_base_ = ['../source/r18_wild.py', '../_base_/datasets/studio_views.py']

adapter = dict(
    type='Bilevel', scheme='one-stage', upper=('frame',), until=4.5, steps=12, lr=2e-4, adam_betas=(0.5, 0.999),
    weights=dict(keypoints2d=10.0, shape_prior=1e-3, pose_prior=1e-4, source=0.3), normalise='visible',
    source=dict(batch=1, pool=512, dataset=_base_.pop('studio_views')))
