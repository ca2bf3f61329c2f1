# Continues holes_open.py on 2D poses alone, so that the batch norms have the statistics of 2D poses. The result is
# bundled as open:mpm_holes_open.
_base_ = './holes_open.py'

load_from = 'work_dirs/holes_open/epoch_6.pth'
model = dict(weights=dict(pose3d=0.0))
optim_wrapper = dict(optimizer=dict(lr=5e-4))
train_cfg = dict(max_epochs=2)
param_scheduler = [dict(type='ExponentialLR', gamma=0.1, by_epoch=True)]
val_dataloader = val_cfg = val_evaluator = None  # the validation needs 3D poses
