# The gate around TrackFit on whole clips of the free wild stream.
_base_ = '../track_fit/r18_clip.py'

adapter = dict(_delete_=True, type='DoNoHarm', adapter=_base_.adapter)
