# Plain fine-tuning of the free start model on whole videos of the free wild stream: ten passes, with the rate of
# r18_wild.py. The number of passes was not tuned.
_base_ = '../source/r18_wild.py'

adapter = dict(type='KeypointFit', lr=1e-4, scope='sequence', steps=10, reset='sequence')
