# TrackFit of LandmarkHMR on the free wild stream. Rates and weights were chosen on real4 and seed 100 of the stream.
_base_ = '../source/lifter_wild.py'

adapter = dict(type='TrackFit')
