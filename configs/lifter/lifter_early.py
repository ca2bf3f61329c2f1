# First stage of the lifter of LandmarkHMR, from scratch and without photographs: 2M observations. 30 % of them are what
# BlazePose saw in drawn videos; the others are other motion, widely varied, with the errors that BlazePose made there.
# CPU: drawing and looking at the videos 15 minutes on one core, once, then about 30 minutes on one core.
_base_ = ['../_base_/train_runtime.py', '../_base_/estimators/lifter.py']

model = dict(type='LandmarkTraining', estimator=_base_.estimator)
_loading = dict(
    batch_size=128, collate_fn=dict(type='default_collate'), sampler=dict(type='DefaultSampler', shuffle=False))
train_dataloader = dict(
    **_loading, num_workers=1, persistent_workers=True, drop_last=True,
    dataset=dict(type='LandmarkViews', length=512_000, tracks=dict(type='LandmarkTracks', length=700)))
val_dataloader = dict(
    **_loading, num_workers=0,
    dataset=dict(type='LandmarkViews', length=2560, seed=1, split='test', seen=0.0,
                 tracks=dict(type='LandmarkTracks', length=700)))
val_evaluator = dict(type='ViewError')
val_cfg = dict()
train_cfg = dict(by_epoch=True, max_epochs=4, val_interval=1)
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=8e-4, weight_decay=1e-4), clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=500),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=4, end=4, eta_min=2e-6, convert_to_iter_based=True)]
