# The refinement of stage II on the free motion, whose 2D joints have errors that last, as a detector's. Both stages
# before it: stage1_open.py and stage2_open.py with the same errors.
_base_ = './stage2_open.py'

_errors = dict(noise_px=5.0, noise_frames=6.0)
model = dict(_delete_=True, type='RefineTraining', network=dict(
    type='RefinedLifter', lifter=dict(type='MPMStage2', frames=27, channels=128, hidden=256, layers=3),
    pretrained='work_dirs/stage2_open/epoch_6.pth'))
train_dataloader = dict(dataset=_errors)
val_dataloader = dict(dataset=dict(**_errors, seed=1))
train_cfg = dict(max_epochs=2, val_interval=1)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
