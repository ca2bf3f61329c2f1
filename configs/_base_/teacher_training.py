# Training of an open teacher: 1500 tracks of the stream's training clips in the wild's looks (other people, clothes and
# scenes than any test stream), encoded by the frozen start model.
# CPU, one core: rendering once about 7 minutes and 1.9 GB under HRTK_CACHE, features of a start model about 8 minutes.
_base_ = ['./train_runtime.py', './estimators/hmr_r18.py']

estimator = dict(weights='open:r18_studio')
_loading = dict(batch_size=64, num_workers=0, collate_fn=dict(type='default_collate'))
train_dataloader = dict(
    **_loading, drop_last=True, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='FeatureWindows', border='clamp', mirror=True,
                 tracks=dict(type='OpenTracks', length=1500, seed=1000)))
val_dataloader = dict(
    **_loading, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='FeatureWindows', border='clamp', tracks=dict(type='OpenTracks', length=100, seed=1001)))
val_evaluator = dict(type='ViewError')
val_cfg = dict()
train_cfg = dict(by_epoch=True, max_epochs=8, val_interval=1)
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=1e-3, weight_decay=1e-2), clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=8, end=8, eta_min=2e-6, convert_to_iter_based=True)]
