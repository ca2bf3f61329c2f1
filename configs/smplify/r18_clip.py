# SMPLify over whole tracks from the predictions of a short TrackFit, for the r18 start model on the free wild stream.
# The camera is that of the whole image. Passes, weights and camera were chosen on seeds 100 and 101 of the stream
# (docs/en/adapters/smplify.md lists what was tried).
_base_ = ['../source/r18_wild.py', '../_base_/adapters/track_fit_clip.py']

adapter = dict(
    type='SMPLify', scope='track', camera='image',
    weights=dict(pose_prior=5.0, shape_prior=100.0, smooth=1000.0),
    adapter=dict(_base_.pop('track_fit_clip'), steps=6))
