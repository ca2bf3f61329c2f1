# Stage II on Human3.6M with its 17 joints, 40 epochs, rate 1.6e-3 (section 4.2), from stage1_h36m.py. Tested on S9 and
# S11. 2D joints of CPN; for the true ones set `keypoints` of both data sets to data/h36m/data_2d_h36m_gt.npz.
_base_ = ['../_base_/train_runtime.py', '../_base_/mpm_paper.py']

model = dict(type='LiftingTraining', network=dict(
    type='MPMStage2', frames=243, layers=4, decoder='strided', pretrained='work_dirs/stage1_h36m/epoch_15.pth'))
train_dataloader = dict(dataset=_base_.h36m)
test_dataloader = dict(dataset=dict(**_base_.pop('h36m'), split='test'))
test_evaluator = dict(type='LiftingEvaluator')
train_cfg = dict(max_epochs=40)
optim_wrapper = dict(optimizer=dict(lr=1.6e-3))
