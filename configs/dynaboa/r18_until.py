# DynaBOA with evidence in place of the change of features: steps until the 2D error is the noise of the keypoints, as
# in configs/boa/r18_until.py, and one exemplar per step.
_base_ = './r18_wild.py'

adapter = dict(until=4.5, max_extra=11, exemplars=dict(batch=1))
