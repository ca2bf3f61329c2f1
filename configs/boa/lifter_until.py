# Plain steps of LandmarkHMR on the losses of one frame, at the rate of lifter_wild.py, until the 2D error is the noise
# of the keypoints, as in r18_until.py.
_base_ = ['../source/lifter_wild.py', '../_base_/datasets/bundled_landmarks.py']

adapter = dict(
    type='Bilevel', scheme='one-stage', upper=('frame',), until=4.5, steps=12, lr=2e-5, adam_betas=(0.5, 0.999),
    weights=dict(keypoints2d=10.0, shape_prior=1e-3, pose_prior=1e-4, source=0.3), normalise='visible',
    source=dict(batch=1, pool=512, dataset=_base_.pop('bundled_landmarks')))
