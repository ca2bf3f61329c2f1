# Pre-adaptation by 2D keypoints alone on the free wild stream, as a detector finds them: the baseline of r18_hidden.py
# and of the configs that inherit from it.
_base_ = [
    '../_base_/default_runtime.py', '../_base_/estimators/hmr_r18.py', '../_base_/datasets/open_wild.py',
    '../_base_/adapters/pre_adapt_open.py']

estimator = dict(weights='open:r18_studio')
dataset = dict(_delete_=True, type='Transformed', transforms=[], dataset=_base_.dataset)
adapter = dict(
    _base_.pop('pre_adapt'), teacher=None, weights=dict(pose=0.0, betas=0.0, camera=0.0, keypoints2d=10.0),
    max_norm=1.0)  # without it single runs diverge, see docs/en/results/pre_adapt.md
