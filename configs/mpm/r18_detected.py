# Pre-adaptation by 2D keypoints alone on the free wild stream, as a detector finds them: the point of comparison of
# r18_hidden.py and what inherits from it.
_base_ = '../3dhrco/r18_mpn_pre_open.py'

dataset = dict(
    _delete_=True, type='Transformed', transforms=[],
    dataset=dict(type='OpenStream', domain='wild', sequences=8, frames=40, seed=0, noise='detector'))
adapter = dict(
    teacher=None, weights=dict(pose=0.0, betas=0.0, camera=0.0),
    max_norm=1.0)  # without it single runs come apart, see docs/en/adapters/pre_adapt.md
