# The open VIBE, from the tracks and features of the open teachers (configs/_base_/teacher_training.py states their
# cost). One core: about 3 minutes. Without the prior: --cfg-options model.critic=None.
_base_ = ['../_base_/train_runtime.py', '../_base_/estimators/vibe_open.py']

_loading = dict(batch_size=32, num_workers=0, collate_fn=dict(type='default_collate'))
model = dict(
    type='VideoTraining', network=_base_.estimator.network, start=_base_.estimator.image,
    critic=dict(type='MotionDiscriminator', hidden=128, attention=128),
    motion=dict(type='MotionWindows', split='train', mirror=True))
train_dataloader = dict(
    **_loading, drop_last=True, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='FeatureClips', stride=4, mirror=True, estimator=_base_.estimator.image,
                 tracks=dict(type='OpenTracks', length=1500, seed=1000)))
val_dataloader = dict(
    **_loading, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='FeatureClips', estimator=_base_.estimator.image,
                 tracks=dict(type='OpenTracks', length=100, seed=1001)))
val_evaluator = dict(type='ClipError')
val_cfg = dict()
train_cfg = dict(by_epoch=True, max_epochs=3, val_interval=1)
optim_wrapper = dict(
    constructor='PartOptimizers',
    network=dict(optimizer=dict(type='AdamW', lr=3e-4, weight_decay=1e-2), clip_grad=dict(max_norm=5.0)),
    critic=dict(optimizer=dict(type='Adam', lr=1e-4, weight_decay=1e-4)))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=3, end=3, eta_min=2e-6, convert_to_iter_based=True)]
