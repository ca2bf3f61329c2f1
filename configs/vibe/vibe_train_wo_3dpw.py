# VIBE as released, without 3DPW's training set: Kocabas et al., CVPR 2020, with the rates of the released
# configs/config.yaml. Clips of InstaVariety (2D) and MPI-INF-3DHP (3D) from VIBE's own databases, AMASS for the critic,
# 3DPW's validation set to choose the checkpoint. 15 000 steps; features are stored, so one GPU of 8 GB is enough.
_base_ = ['../_base_/train_runtime.py', '../_base_/estimators/spin.py']

_loading = dict(num_workers=0, collate_fn=dict(type='default_collate'))
model = dict(
    type='MixedVideoTraining', network=dict(type='VIBE'), start=_base_.estimator,
    critic=dict(type='MotionDiscriminator'),
    motion=dict(type='AMASSMotion', file='data/vibe/amass_db.pt'),
    weights=dict(keypoints2d=300.0, joints3d=300.0, rotmat=60.0, betas=0.06, motion=0.5))
train_dataloader = dict(
    **_loading, batch_size=32, drop_last=True,
    sampler=dict(type='MixedBatches', batch_size=32, share=0.6, steps=500),  # 19 clips in 2D, 13 in 3D
    dataset=dict(
        type='MixedClips',
        planar=[dict(type='VIBEClips', file='data/vibe/insta_train_db.h5', layout='insta')],
        spatial=[dict(type='VIBEClips', file='data/vibe/mpii3d_train_db.pt', layout='mpii3d')]))
val_dataloader = dict(
    **_loading, batch_size=32, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='VIBEClips', file='data/vibe/3dpw_val_db.pt', layout='3dpw', overlap=0.0))
val_evaluator = dict(type='VIBEErrors')
val_cfg = dict()
test_dataloader = dict(
    **_loading, batch_size=32, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='VIBEClips', file='data/vibe/3dpw_test_db.pt', layout='3dpw', overlap=0.0))
test_evaluator = dict(type='VIBEErrors')
test_cfg = dict()
train_cfg = dict(by_epoch=True, max_epochs=30, val_interval=1)
# The released trainer keeps the checkpoint with the least PA-MPJPE.
default_hooks = dict(checkpoint=dict(save_best='clips/pa_mpjpe_mm', rule='less'))
optim_wrapper = dict(
    constructor='PartOptimizers',
    network=dict(optimizer=dict(type='Adam', lr=5e-5)),
    critic=dict(optimizer=dict(type='Adam', lr=1e-4, weight_decay=1e-4)))
param_scheduler = [
    dict(type='ReduceOnPlateauLR', monitor='clips/pa_mpjpe_mm', rule='less', factor=0.1, patience=5, by_epoch=True)]
