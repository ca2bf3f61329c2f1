# TrackFit of the r18 start model on whole clips: batches of frames, and labelled source crops in place of the anchor,
# because the start model's own depth is too poor to be kept. Chosen on seed 100 of the wild stream.
_base_ = '../datasets/studio_views.py'

track_fit_clip = dict(
    type='TrackFit', lr=2e-4, shape_lr=0.01, adam_betas=(0.5, 0.999), steps=15, batch=8, until=4.5,
    robust=1.0,
    weights=dict(
        keypoints2d=5.0, depth=0.0, pose=0.0, shape=1e-3, acceleration=6e-5, pose_prior=1e-4, source=0.3),
    source=dict(batch=1, pool=512, dataset=_base_.pop('studio_views')))
