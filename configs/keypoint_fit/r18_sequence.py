# Plain fine-tuning of the free start model on whole videos of the free wild stream: ten passes, with the rate of
# r18_wild.py. The number of passes was not tuned.
_base_ = 'r18_wild.py'

adapter = dict(scope='sequence', steps=10, reset='sequence')
