# Plain fine-tuning that goes on from frame to frame within a video, ISO's online schedule, with the rate of
# r18_wild.py.
_base_ = 'r18_wild.py'

adapter = dict(reset='sequence')
