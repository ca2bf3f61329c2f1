# Stage II on the free motion, from stage I's weights: tools/train.py stage1_open.py, then this.
_base_ = ['../_base_/train_runtime.py', '../_base_/mpm_open.py']

model = dict(type='LiftingTraining', network=dict(
    type='MPMStage2', pretrained='work_dirs/stage1_open/epoch_6.pth'))
