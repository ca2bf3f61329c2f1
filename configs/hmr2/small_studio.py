# The small HMR2: the studio domain from random weights, with the bundled start model r18 as its teacher.
# Optimiser: AdamW with a warm-up and a cosine, as DeiT (Touvron et al., 2021, table 9). Rate: docs/en/hmr2.md.
_base_ = ['../_base_/train_runtime.py', '../_base_/estimators/hmr2_small.py']

_views = dict(type='OpenViews', domain='studio', resolution=112, cache=True)
_loading = dict(batch_size=32, num_workers=0, collate_fn=dict(type='default_collate'))
model = dict(
    type='DistilledTraining', estimator=_base_.estimator, bf16=True,
    teacher=dict(
        type='HMR', backbone=dict(type='ResNet', depth=18, width=32), resolution=112, body=None,
        head=dict(type='IterativeRegressor', hidden=512, activation='relu', dropout=0.0),
        weights='open:r18_studio'))
train_dataloader = dict(
    **_loading, drop_last=True, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**_views, length=20000, seed=0))
val_dataloader = dict(
    **_loading, sampler=dict(type='DefaultSampler', shuffle=False), dataset=dict(**_views, length=250, seed=1))
val_evaluator = dict(type='ViewError')
train_cfg = dict(by_epoch=True, max_epochs=12, val_interval=1)
val_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=3e-4, betas=(0.9, 0.98), weight_decay=0.02, fused=True),
    clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=300),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=12, end=12, eta_min=2e-6, convert_to_iter_based=True)]
