# Stage I on the free motion: 5 of 17 joints of every frame and 60 % of the frames hidden, weights 5 and 2 as released.
_base_ = ['../_base_/train_runtime.py', '../_base_/mpm_open.py']

model = dict(type='MaskedPoseTraining', network=dict(type='MPMStage1'))
val_evaluator = dict(protocol='completion3d')
