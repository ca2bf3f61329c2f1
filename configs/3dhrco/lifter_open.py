# 3DHR-Co of LandmarkHMR on the free wild stream. Its own start weights are the teacher: no temporal network labels its
# observations better, and they are clean already, so nothing is corrupted.
_base_ = '../dynaboa/lifter_wild.py'

adapter = dict(
    _delete_=True, type='Regeneration', online=_base_.adapter,
    pre=dict(
        type='PreAdapt', epochs=160, sequences=3, frames=8, lr=3e-5, corruption=None,
        teacher=dict(type='EstimatorTeacher', estimator=_base_.estimator),
        weights=dict(pose=10.0, betas=0.1, camera=1.0, keypoints2d=10.0), normalise='visible'))
