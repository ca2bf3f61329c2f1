# Pre-adaptation of SPIN by MPS-Net on Human3.6M (section IV.G), at the rates for 3DPW. SPIN's file of the test subjects
# holds no 2D keypoints, so the 2D term is off; the paper does not say which keypoints it used.
_base_ = ['../source/spin_h36m.py', '../_base_/adapters/pre_adapt_paper.py']

adapter = _base_.pop('pre_adapt')
adapter['weights']['keypoints2d'] = 0.0
