# Few-shot adaptation of the free start model to the free wild stream.
_base_ = ['../source/r18_wild.py', '../_base_/adapters/few_shot_open.py']

adapter = _base_.pop('few_shot')
