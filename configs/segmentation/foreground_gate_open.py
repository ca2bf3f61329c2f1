# Fusion of the free start model with foreground features by a gate, trained on the studio, its own domain. As in the
# thesis on few-shot adaptation (section 3.6) the segmenter is trained before and frozen; as in VIBE the backbone is
# frozen too. The network of the foreground map, the fusion and the regressor are trained with poses. One core with
# AVX512-BF16 (set model.bf16=False elsewhere): 0.3 s a step, three minutes, and eight minutes to render the views once.
_base_ = [
    '../_base_/train_runtime.py', '../_base_/estimators/hmr_r18.py', '../_base_/estimators/foreground.py']

_views = dict(type='OpenViews', domain='studio', resolution=112, cache=True)
_loading = dict(batch_size=64, num_workers=0, collate_fn=dict(type='default_collate'))
model = dict(type='SupervisedTraining', estimator=dict(_base_.estimator, **_base_.pop('foreground')), bf16=True)
train_dataloader = dict(
    **_loading, drop_last=True, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**_views, length=120_000, seed=2))  # views of the start model's last stage
val_dataloader = dict(
    **_loading, sampler=dict(type='DefaultSampler', shuffle=False), dataset=dict(**_views, length=1000, seed=1))
val_evaluator = dict(type='ViewError')
val_cfg = dict()
train_cfg = dict(by_epoch=False, max_iters=600, val_interval=200)
default_hooks = dict(checkpoint=dict(interval=200, by_epoch=False))
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=3e-4, weight_decay=1e-2), clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='CosineAnnealingLR', by_epoch=False, T_max=600, end=600, eta_min=2e-6)]
