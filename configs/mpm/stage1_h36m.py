# Stage I on Human3.6M alone with its 17 joints: 5 joints of every frame and 60 % of the frames hidden. The weights of
# the losses are those of the paper; the release has 5 and 2. 15 epochs, rate 1e-4 (section 4.2).
_base_ = ['../_base_/train_runtime.py', '../_base_/mpm_paper.py']

model = dict(
    type='MaskedPoseTraining', network=dict(type='MPMStage1', frames=243, layers=4),
    masks=dict(strategy='spatio_temporal', joints=5, ratio=0.6), weights=dict(pose2d=2.0, pose3d=3.0))
train_dataloader = dict(dataset=_base_.pop('h36m'))
test_dataloader = None
train_cfg = dict(max_epochs=15)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
