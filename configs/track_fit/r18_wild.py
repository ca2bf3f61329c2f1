# TrackFit of the r18 start model on the free wild stream, with the depth and pose of LandmarkHMR. The rate is that of
# configs/boa/r18_wild.py.
_base_ = '../source/r18_wild.py'

adapter = dict(
    type='TrackFit', lr=2e-4,
    anchor=dict(type='LandmarkHMR', body=dict(type='BodyModel', file='open'), weights='open:lifter'))
