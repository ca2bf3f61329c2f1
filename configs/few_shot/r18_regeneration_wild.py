# Few shots before DynaBOA, of the free start model on the free wild stream: every video starts from the weights that
# the shots gave.
_base_ = ['../dynaboa/r18_wild.py', '../_base_/adapters/few_shot_open.py']

adapter = dict(_delete_=True, type='Regeneration', pre=_base_.pop('few_shot'), online=_base_.adapter)
