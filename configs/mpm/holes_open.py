# Stage I for the completion of keypoints (CompleteKeypoints): its masks hide single joints and limbs, as detectors
# miss them, instead of 72 % of all joints.
_base_ = './stage1_open.py'
model = dict(masks=dict(type='HoleSampler'), network=dict(dropout=0.0, mlp_dropout=0.0))
