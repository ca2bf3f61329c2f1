# The pre-adaptation of 3DHR-Co for LandmarkHMR. Its own start weights are the teacher: no temporal network labels its
# observations better, and they are clean already, so nothing is corrupted. The rate is a tenth of that of r18.
_base_ = '../teachers/lifter.py'

pre_adapt_lifter = dict(
    type='PreAdapt', epochs=160, sequences=3, frames=8, lr=3e-5, corruption=None, teacher=_base_.pop('lifter_teacher'),
    weights=dict(pose=10.0, betas=0.1, camera=1.0, keypoints2d=10.0), normalise='visible')
