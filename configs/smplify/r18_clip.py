# SMPLify over whole tracks from the predictions of a short TrackFit, for the r18 start model on the free wild stream.
_base_ = '../track_fit/r18_clip.py'

adapter = dict(
    _delete_=True, type='SMPLify', scope='track', weights=dict(smooth=1000.0), adapter=_base_.adapter)
