# The gate around plain fine-tuning of the free start model on whole videos of the free wild stream.
_base_ = '../keypoint_fit/r18_sequence.py'

adapter = dict(_delete_=True, type='DoNoHarm', adapter=_base_.adapter)
