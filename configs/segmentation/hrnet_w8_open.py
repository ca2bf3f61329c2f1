# The free segmenter, on the stream's training clips in the wild's looks: other people, clothes and scenes than any test
# stream. One core with AVX512-BF16 (set model.bf16=False elsewhere): rendering the crops once takes a minute and
# 200 MB under HRTK_CACHE, training about four minutes (half a minute an epoch).
_base_ = ['../_base_/train_runtime.py', '../_base_/estimators/foreground.py']

_network = _base_.pop('foreground').segmenter
_network.pop('weights')  # they are trained here
_loading = dict(num_workers=0, collate_fn=dict(type='default_collate'))
model = dict(type='SegmentationTraining', network=_network, weights=dict(iou=0.5), bf16=True)
train_dataloader = dict(
    **_loading, batch_size=8, drop_last=True,  # tracks of four frames
    sampler=dict(type='DefaultSampler', shuffle=True), dataset=dict(type='OpenForeground', length=800, seed=2000))
val_dataloader = dict(
    **_loading, batch_size=8, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='OpenForeground', length=60, seed=2001))
val_evaluator = dict(type='ForegroundIoU')
val_cfg = dict()
train_cfg = dict(by_epoch=True, max_epochs=8, val_interval=2)
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=2e-3, weight_decay=1e-2), clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', by_epoch=True, T_max=8, end=8, eta_min=2e-6, convert_to_iter_based=True)]
