# BOA of the free start model on a folder of single pictures: no motion to learn from, so it takes many steps on each
# and starts anew at the next. For a video use r18_video.py.
_base_ = ['../_base_/default_runtime.py', '../_base_/estimators/hmr_r18.py', '../_base_/datasets/photos.py']

estimator = dict(weights='open:r18_studio')
adapter = dict(
    type='Bilevel', lr=2e-4, adam_betas=(0.5, 0.999), inner_lr=3e-4, steps=15, order='first',
    weights=dict(keypoints2d=10.0, shape_prior=1e-3, pose_prior=1e-4, source=0.3, motion=0.0, teacher=0.0),
    normalise='visible', reset='frame',
    source=dict(batch=4, pool=512, dataset=dict(type='OpenViews', domain='studio', resolution=112, length=512, seed=2,
                                                cache=True)))
