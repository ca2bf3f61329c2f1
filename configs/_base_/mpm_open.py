# Lifting on the bundled motion, four cameras like Human3.6M's: windows of 27 frames of every second frame,
# as the released configuration samples Human3.6M at 50 Hz (ours has 30). A network of half the released width.

model = dict(network=dict(frames=27, channels=128, hidden=256, layers=3))
_loading = dict(batch_size=64, num_workers=0, collate_fn=dict(type='default_collate'))
train_dataloader = dict(
    **_loading, drop_last=True, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='MocapLifting', split='train', frames=27, step=2, stride=4))
val_dataloader = dict(
    **_loading, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='MocapLifting', split='test', frames=27, step=2, stride=8))
val_cfg = dict()
val_evaluator = dict(type='LiftingEvaluator')
train_cfg = dict(by_epoch=True, max_epochs=6, val_interval=2)
# The release has 7e-4 for batches of 1024 and 50 epochs. After 300 steps of 64 windows 2e-3 was a sixth better.
optim_wrapper = dict(optimizer=dict(type='Adam', lr=2e-3, amsgrad=True))
param_scheduler = [dict(type='ExponentialLR', gamma=0.5, by_epoch=True)]
