# EFT of LandmarkHMR on the free wild stream, at a tenth of the rate of r18_wild.py, as BOA has it. Not tuned.
_base_ = '../source/lifter_wild.py'

adapter = dict(type='KeypointFit', lr=1e-5, steps=5, reset='frame')
