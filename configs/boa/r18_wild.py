# BOA of the free start model on the free wild stream. Reported results are on seeds 0, 1 and 2.
_base_ = ['../source/r18_wild.py', '../_base_/adapters/bilevel_r18.py']

adapter = dict(_base_.pop('bilevel_r18'))
