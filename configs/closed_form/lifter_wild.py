# Analytic refinement of LandmarkHMR's predictions on the free wild stream, as in r18_wild.py.
_base_ = '../source/lifter_wild.py'

adapter = dict(type='ClosedForm', strength=0.5)
