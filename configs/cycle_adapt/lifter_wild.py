# CycleAdapt of LandmarkHMR on the free wild stream, at a tenth of the estimator's rate in r18_wild.py. Not tuned.
_base_ = '../source/lifter_wild.py'

adapter = dict(type='CycleAdapt', lr=5e-5, motion_lr=1e-3, batch=8, window=17, motion_fps=15)
