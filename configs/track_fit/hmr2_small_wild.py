# TrackFit of the small HMR2 on the free wild stream, with the depth and pose of LandmarkHMR, as configs/track_fit/
# r18_wild.py.
_base_ = '../source/hmr2_small_wild.py'

adapter = dict(
    type='TrackFit', lr=2e-4,
    anchor=dict(type='LandmarkHMR', body=dict(type='BodyModel', file='open'), weights='open:lifter'))
