# Stage I for the completion of keypoints (CompleteKeypoints): it hides what detectors miss, single joints and limbs,
# not 72 % of everything.
_base_ = './stage1_open.py'
model = dict(masks=dict(type='HoleSampler'), network=dict(dropout=0.0, mlp_dropout=0.0))
