# 3DHR-Co of LandmarkHMR on the free wild stream.
_base_ = ['../dynaboa/lifter_wild.py', '../_base_/adapters/pre_adapt_lifter.py']

adapter = dict(_delete_=True, type='Regeneration', online=_base_.adapter, pre=_base_.pop('pre_adapt_lifter'))
