# Plain fine-tuning of LandmarkHMR that goes on from frame to frame within a video, at the rate of lifter_wild.py.
_base_ = '../source/lifter_wild.py'

adapter = dict(type='KeypointFit', lr=1e-5, steps=5, reset='sequence')
