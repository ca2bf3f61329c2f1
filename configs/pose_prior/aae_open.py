# The open pose prior: an adversarial auto-encoder of the poses of the motion's training clips and their mirror images.
# CPU: at most 10 minutes of one core.
_base_ = ['../_base_/train_runtime.py']

_loading = dict(batch_size=256, num_workers=0, collate_fn=dict(type='default_collate'))
model = dict(
    type='PosePriorTraining', network=dict(type='PoseAutoEncoder', latent=32, hidden=512), mix=0.5, noise=0.1)
train_dataloader = dict(
    **_loading, drop_last=True, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='OpenPoses', split='train', mirror=True))
val_dataloader = dict(
    **_loading, sampler=dict(type='DefaultSampler', shuffle=False), dataset=dict(type='OpenPoses', split='test'))
val_evaluator = [
    dict(type='ViewError'),
    dict(type='PosePriorQuality', reference=dict(type='OpenPoses', split='train', mirror=True))]
val_cfg = dict()
train_cfg = dict(by_epoch=True, max_epochs=50, val_interval=5)
default_hooks = dict(checkpoint=dict(interval=5))
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-2), clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=50, end=50, eta_min=2e-6, convert_to_iter_based=True)]
