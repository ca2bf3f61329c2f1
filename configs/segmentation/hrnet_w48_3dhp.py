# HRNet-W48-OCR on MPI-INF-3DHP's training set with the masks of tools/make_foreground.py, as the thesis on few-shot
# adaptation trains it (sections 3.6, 4.2, 4.4): two classes, 520 px, foreground twice the background's weight. The
# thesis names no optimiser; this one is HRNet-OCR's, from its ImageNet or Cityscapes weights. One GPU of 24 GB.
_base_ = ['../_base_/train_runtime.py']

_loading = dict(batch_size=8, num_workers=4, collate_fn=dict(type='default_collate'))
_frames = dict(
    type='Transformed',
    dataset=dict(type='SPINFile', file='data/spin/mpi_inf_3dhp_train.npz', image_root='data/mpi_inf_3dhp',
                 keypoints='annotated'),
    transforms=[dict(type='WithMasks', source=dict(
        type='MaskFiles', folder='data/foreground/mpi_inf_3dhp', pattern='{name}/{id}.png'))])
model = dict(
    type='SegmentationTraining',
    network=dict(type='HRNetOCR', width=48, pretrained='data/hrnet/hrnetv2_w48_imagenet_pretrained.pth'),
    size=520, class_weights=(0.5, 1.0), weights=dict(main=1.0, auxiliary=0.4))
train_dataloader = dict(
    **_loading, drop_last=True, sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='ForegroundViews', resolution=224, dataset=_frames))
val_dataloader = dict(
    **_loading, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ForegroundViews', resolution=224, length=1000, dataset=_frames))
val_evaluator = dict(type='ForegroundIoU')
val_cfg = dict()
train_cfg = dict(by_epoch=False, max_iters=40000, val_interval=4000)
default_hooks = dict(checkpoint=dict(interval=4000, by_epoch=False))
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=5e-4))
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=40000, by_epoch=False)]
