# TrackFit of the r18 start model on whole clips of the free wild stream.
_base_ = ['../source/r18_wild.py', '../_base_/adapters/track_fit_clip.py']

adapter = dict(_base_.pop('track_fit_clip'))
