# First stage of the bundled start model: people in front of plain walls. All viewing directions are equally likely.
# CPU: about 40 minutes on two cores with AVX512-BF16 (set model.bf16=False elsewhere, about twice that).
_base_ = ['../_base_/train_runtime.py', '../_base_/estimators/hmr_r18.py']

_views = dict(type='OpenViews', resolution=112, cache=True)
_loading = dict(batch_size=64, collate_fn=dict(type='default_collate'))
model = dict(type='SupervisedTraining', estimator=_base_.estimator, bf16=True)
train_dataloader = dict(
    **_loading, num_workers=1, persistent_workers=True, drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True), dataset=dict(**_views, domain='plain', length=100_000, seed=0))
val_dataloader = dict(
    **_loading, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**_views, domain='plain', length=1000, seed=1))
val_evaluator = dict(type='ViewError')
train_cfg = dict(by_epoch=True, max_epochs=4, val_interval=1)  # 400k views: each rendered once and used four times
val_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-4), clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=300),
    # The second stage starts before the rate has decreased to its minimum.
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=5, end=5, eta_min=2e-6, convert_to_iter_based=True)]
