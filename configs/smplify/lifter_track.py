# SMPLify over whole tracks of LandmarkHMR's predictions on the free wild stream, as in r18_track.py.
_base_ = '../source/lifter_wild.py'

adapter = dict(type='SMPLify', scope='track', weights=dict(smooth=1000.0))
