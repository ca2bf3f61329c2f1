# Plain fine-tuning of LandmarkHMR that goes on from frame to frame within a video, at the rate of lifter_wild.py.
_base_ = 'lifter_wild.py'

adapter = dict(reset='sequence')
