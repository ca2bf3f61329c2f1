# Lifting on the motion that ships with hrtk, four cameras like Human3.6M's: windows of 27 frames of every second frame,
# as the released configuration samples Human3.6M at 50 Hz (ours has 30). A network of half the released width.
_base_ = ['./train_runtime.py']

model = dict(network=dict(frames=27, channels=128, hidden=256, layers=3))
_loading = dict(batch_size=256, num_workers=0, collate_fn=dict(type='default_collate'))
train_dataloader = dict(
    **_loading, drop_last=True, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='MocapLifting', split='train', frames=27, step=2, stride=4))
val_dataloader = dict(
    **_loading, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='MocapLifting', split='test', frames=27, step=2, stride=8))
val_cfg = dict()
val_evaluator = dict(type='LiftingEvaluator')
train_cfg = dict(by_epoch=True, max_epochs=20, val_interval=5)
default_hooks = dict(checkpoint=dict(interval=5))
optim_wrapper = dict(optimizer=dict(type='Adam', lr=7e-4, amsgrad=True))  # stage II of the released README
param_scheduler = [dict(type='ExponentialLR', gamma=0.9, by_epoch=True)]  # 0.97 over 50 epochs as released
