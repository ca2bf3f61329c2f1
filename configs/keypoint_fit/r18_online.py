# Plain fine-tuning that goes on from frame to frame within a video, ISO's online schedule, with the rate of
# r18_wild.py.
_base_ = '../source/r18_wild.py'

adapter = dict(type='KeypointFit', lr=1e-4, steps=5, reset='sequence')
