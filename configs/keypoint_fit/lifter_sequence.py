# Plain fine-tuning of LandmarkHMR on whole videos of the free wild stream, as in r18_sequence.py, at the rate of
# lifter_wild.py.
_base_ = '../source/lifter_wild.py'

adapter = dict(type='KeypointFit', lr=1e-5, scope='sequence', steps=10, reset='sequence')
