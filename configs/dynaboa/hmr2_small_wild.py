# DynaBOA of the small HMR2 on the free wild stream. Three tenths of the rates of configs/dynaboa/r18_wild.py, chosen on
# seeds 100 and 101 of the stream (docs/en/hmr2.md).
_base_ = ['../source/hmr2_small_wild.py', '../_base_/datasets/studio_views.py']

adapter = dict(
    type='DynamicBilevel', lr=6e-5, adam_betas=(0.5, 0.9), inner_lr=9e-5, order='first',
    weights=dict(keypoints2d=10.0, shape_prior=1e-3, pose_prior=1e-4, source=0.3, motion=1.0, teacher=0.1),
    interval=3, teacher_keep=0.9, normalise='visible', reset='sequence', threshold=3e-5, max_extra=7,
    exemplars=dict(batch=4, pool=512, dataset=_base_.pop('studio_views')))
