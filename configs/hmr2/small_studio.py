# The small HMR2 on the studio domain, from scratch: 64k views, a twentieth of those of configs/hmr/. By the times of
# single steps and views this is about 12 minutes of one core with AVX512-BF16.
_base_ = ['../_base_/train_runtime.py', '../_base_/estimators/hmr2_small.py']

_views = dict(type='OpenViews', domain='studio', resolution=112, cache=True)
_loading = dict(batch_size=32, collate_fn=dict(type='default_collate'))
model = dict(type='SupervisedTraining', estimator=_base_.estimator, bf16=True)
train_dataloader = dict(
    **_loading, num_workers=1, persistent_workers=True, drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True), dataset=dict(**_views, length=12_800, seed=0))
val_dataloader = dict(
    **_loading, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**_views, length=1000, seed=1))
val_evaluator = dict(type='ViewError')
train_cfg = dict(by_epoch=True, max_epochs=5, val_interval=1)
val_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=6e-4, betas=(0.9, 0.98), weight_decay=0.02, fused=True),
    clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=5, end=5, eta_min=2e-6, convert_to_iter_based=True)]
