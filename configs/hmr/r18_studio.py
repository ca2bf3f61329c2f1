# The bundled start model: trained on the studio domain alone, so that the wild is a true shift.
# CPU: about an hour on two cores with AVX512-BF16 (set model.bf16=False elsewhere, about twice that). GPU: minutes.
_base_ = ['../_base_/train_runtime.py', '../_base_/estimators/hmr_r18.py']

views = dict(type='OpenViews', domain='studio', resolution=112, cache=True)
model = dict(type='SupervisedTraining', estimator={{_base_.estimator}}, bf16=True)
train_dataloader = dict(
    batch_size=64, num_workers=1, persistent_workers=True, drop_last=True, collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=True), dataset=dict(**views, length=100_000, seed=0))
val_dataloader = dict(
    batch_size=64, num_workers=0, collate_fn=dict(type='default_collate'), sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**views, length=1000, seed=1))
val_evaluator = dict(type='ViewError')
train_cfg = dict(by_epoch=True, max_epochs=5, val_interval=1)  # 500k views, each drawn once and seen five times
val_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-4), clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=300),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=5, eta_min=2e-6, convert_to_iter_based=True)]
